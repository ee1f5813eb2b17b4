"""A server that stands in for Webflow's ``POST /event`` as the contract describes it, with faults on request.

    python -m demo.simulator --database FILE --token TOKEN --customer-id ID

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
====================================  =================================================================================

Answered events survive a restart and ``kill -9``; a restart resets the counts of requests, the faults and the clock.

The modules, from the wire to the file: ``server`` owns the connections and routes requests; ``connection`` speaks HTTP
with the values of ``request`` and ``reply``; ``endpoint`` takes events, as ``event`` parses them and ``faults`` (made of
``rule``) disturb them; ``pages`` answers the table above from ``counts`` and ``store``, with ``overview`` for people;
``clock`` holds the time of them all. ``process`` starts a simulator in a process of its own.
"""

from demo.simulator.process import SimulatorProcess

__all__ = ["SimulatorProcess"]
