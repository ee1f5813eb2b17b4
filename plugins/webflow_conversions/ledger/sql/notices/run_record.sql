SELECT verdict, failures FROM webflow.runs WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s
