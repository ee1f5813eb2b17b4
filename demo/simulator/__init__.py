"""A server that stands in for Webflow's ``POST /event`` as the contract describes it, with faults on request.

    python -m demo.simulator --database FILE --token TOKEN --customer-id ID --data-token TOKEN

It stores received events in a SQLite file. Beside the endpoint it has pages that need no token:

====================================  =================================================================================
``GET /``                             the summary, for people
``GET /simulator/summary``            the summary: events by name, repeated action IDs, ignored ones, requests by status
``GET /simulator/events``             rows, by ``limit``, ``offset`` and ``action_id``
``GET /simulator/action_ids``         a line for each action ID: the ID, a tab, the number of times it was stored; a
                                      backslash, tab or line end within an ID is escaped as in JSON
``DELETE /simulator/events``          deletes the events and resets the counts
``GET|PUT|DELETE /simulator/faults``  the faults: a list of rules, or ``{"seed": 1, "rules": [...]}``
``GET|PUT /simulator/clock``          ``{"offset_seconds": 90}``: seconds that its clock is ahead
``GET|PUT|DELETE /simulator/site``    the account's settings, how it imports above all; DELETE deletes the whole site
``GET|POST …/site/reports``           what browsers did on the site
``POST …/site/people``                random people from a seed, who visit the site
``GET|PUT …/site/goals``              the custom goals with their names over time
``POST …/site/import``                imports what was received before ``at_ms``, as each midnight UTC does by itself
``GET|DELETE …/site/credits``         what the imports credited; DELETE undoes the imports
====================================  =================================================================================

Webflow's Data API is under ``/v2``, with the data token. Webflow's Data Exports are the tables that ``exports`` writes.

Answered events survive a restart and ``kill -9``, and so does the site, in a file ``FILE.site``; a restart resets the counts of
requests, the faults and the clock.

The modules, from the wire to the file: ``server`` owns the connections and routes requests; ``connection`` speaks HTTP
with the values of ``request`` and ``reply``; ``endpoint`` takes events, as ``event`` parses them and ``faults`` (made of
``rule``) disturb them; ``pages`` answers the table above from ``counts`` and ``store``, with ``overview`` for people;
``clock`` holds the time of them all. ``process`` starts a simulator in a process of its own.

The site: ``site`` makes sessions of reports, ``site_generator`` makes reports from a seed, ``goals`` knows names over time,
``nightly_import`` credits events by them; ``account`` holds it all, in ``site_store``; ``site_pages`` and ``data_api`` show it.
None of this shares code with the package, so that it can tell whether the package foresees an import.
"""

from demo.simulator.process import SimulatorProcess

__all__ = ["SimulatorProcess"]
