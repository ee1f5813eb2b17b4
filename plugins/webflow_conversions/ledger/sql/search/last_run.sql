-- The currency that the last opened run had in its configuration, and whether it was a rehearsal.
SELECT currency, is_rehearsal FROM webflow.runs WHERE window_end IS NOT NULL ORDER BY id DESC LIMIT 1
