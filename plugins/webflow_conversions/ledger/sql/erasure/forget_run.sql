UPDATE webflow.runs
SET notes = %(notes)s, problems = %(problems)s, failures = %(failures)s, verdict = %(verdict)s, counts = %(counts)s
WHERE id = %(id)s
