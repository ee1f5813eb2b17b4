-- Entries of the action log that choose conversions by what somebody typed.
SELECT id, filter FROM webflow.actions WHERE filter ?| '{conversion,written,begins}' ORDER BY id
