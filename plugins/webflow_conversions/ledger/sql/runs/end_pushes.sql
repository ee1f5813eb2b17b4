-- Declares the pushes of a run dead. Their leases run on: until then a request may be out, and its row does not go out again.
UPDATE webflow.pushes SET ended_at = clock_timestamp() WHERE run = %(run)s AND ended_at IS NULL
