SELECT verdict, failures, window_end IS NOT NULL AS is_opened, is_rehearsal FROM webflow.runs WHERE dag_id = %(dag_id)s AND run_id = %(run_id)s
