-- When a conversion (c) that is in doubt may go out again: when the lease of the push that claimed it is over, since until
-- then a request of it may be out.
CASE WHEN c.state = 'sending' THEN coalesce((SELECT p.expires_at FROM webflow.pushes p WHERE p.id = c.push_id), c.retry_at) ELSE c.retry_at END
