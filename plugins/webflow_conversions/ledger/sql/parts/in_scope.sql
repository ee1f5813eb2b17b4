-- Whether a conversion is in a scope (pipeline/run.py); a part of statements.
c.destination = %(destination)s
AND c.source = ANY (%(sources)s)
AND c.action_timestamp_ms >= %(start_ms)s AND c.action_timestamp_ms < %(end_ms)s
AND (%(only)s IS NULL OR c.action_id = %(only)s)
