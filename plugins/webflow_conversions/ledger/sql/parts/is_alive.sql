-- A push (p) is alive while it still records outcomes: it has not ended, nobody has declared it dead (a later try of its
-- task, reconcile of its run, a push that reaped it), and its lease runs. A push that was declared dead records nothing
-- more, and yet a request of it may be out until its lease ends.
p.ended_at IS NULL AND p.expires_at > clock_timestamp()
