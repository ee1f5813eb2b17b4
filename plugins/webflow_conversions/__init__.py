"""The way of a company's off-site conversions to Webflow.

::

    rules/       values and rules of the contract: time, window, identity, money, goals, states   (pandas)
    pipeline/    what a run does: extraction, identification, guards, verdict, notices, dry run
    delivery/    the push: claim, send, settle; what an answer means; how fast
    ledger/      PostgreSQL: where every conversion stands (SQL in ledger/sql/)
    warehouse/   any database that SQLAlchemy knows, read in chunks
    transport/   the wire (libcurl)
    documents/   pages of the documents that are generated from the code
    hooks/ operators/ ui/   the side of Airflow

Imports point upwards in this list; only the last line imports Airflow.
"""

__version__ = "0.1.0"
