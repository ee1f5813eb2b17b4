-- Seconds until the last lease of pushes ends that hold some of the conversions; null if none does.
SELECT extract(epoch FROM max(p.expires_at) - clock_timestamp())::float8 AS seconds
FROM webflow.conversions c
JOIN webflow.pushes p ON p.id = c.push_id
WHERE c.id = ANY (%(ids)s) AND c.state = 'sending' AND {is_alive}
