-- Whether a conversion has a request without an answer behind it, and nobody who waits for one; a part of statements.
c.state = 'sending' AND NOT EXISTS (
    SELECT FROM webflow.pushes p WHERE p.id = c.push_id AND p.expires_at > clock_timestamp()
) OR c.state = 'ready' AND c.attempts_in_doubt > 0
