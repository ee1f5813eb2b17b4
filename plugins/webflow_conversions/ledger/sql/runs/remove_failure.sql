UPDATE webflow.runs SET failures = failures - %(key)s
WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s AND failures ? %(key)s
