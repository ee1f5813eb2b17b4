-- Makes a run a rehearsal, if one is asked for; whether it is one. Only plan, which begins the run anew, makes it live again.
UPDATE webflow.runs SET is_rehearsal = is_rehearsal OR %(asked)s WHERE id = %(run)s RETURNING is_rehearsal
