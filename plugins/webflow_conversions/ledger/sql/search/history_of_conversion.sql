-- What happened to a conversion and its row alone does not tell.
SELECT at, what, http_status, detail, run_id, person
FROM webflow.history
WHERE conversion = %(conversion)s
ORDER BY at, id
LIMIT 200
