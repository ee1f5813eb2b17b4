UPDATE webflow.pushes SET ended_at = clock_timestamp(), counts = %(counts)s WHERE id = %(push)s
