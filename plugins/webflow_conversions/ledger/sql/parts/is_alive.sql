-- A push (p) is alive while it still records outcomes: it has not ended, nobody has declared it dead (a later try of its
-- task, reconcile of its run, a push that reaped it), and its lease runs. A push that was declared dead learns
-- so at its next renewal and stops. Until its lease ends, a request of it may be out.
p.ended_at IS NULL AND p.expires_at > clock_timestamp()
