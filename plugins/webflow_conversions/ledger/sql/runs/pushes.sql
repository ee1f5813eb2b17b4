SELECT destination, worker, try_number, ended_at IS NOT NULL AND (counts ->> 'complete')::boolean AS is_complete, counts
FROM webflow.pushes
WHERE run = %(run)s
ORDER BY id
