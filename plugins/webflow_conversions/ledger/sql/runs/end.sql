UPDATE webflow.runs
SET ended_at = clock_timestamp(), outcome = %(outcome)s, problems = %(problems)s, counts = %(counts)s
WHERE id = %(run)s
