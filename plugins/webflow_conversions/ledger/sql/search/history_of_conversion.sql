-- The history of a conversion: what its row does not hold.
SELECT at, what, http_status, detail, run_id, person
FROM webflow.history
WHERE conversion = %(conversion)s
ORDER BY at, id
LIMIT 200
