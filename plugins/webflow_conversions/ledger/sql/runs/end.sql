UPDATE webflow.runs
SET ended_at = clock_timestamp(), outcome = %(outcome)s, problems = %(problems)s, verdict = %(verdict)s, counts = %(counts)s
WHERE id = %(run)s
