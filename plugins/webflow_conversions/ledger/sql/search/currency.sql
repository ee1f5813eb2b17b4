-- The currency that the last opened run had in its configuration.
SELECT currency FROM webflow.runs WHERE window_end IS NOT NULL ORDER BY id DESC LIMIT 1
