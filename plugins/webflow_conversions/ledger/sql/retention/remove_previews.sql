-- The results of dry runs name conversions, and grow old.
DELETE FROM webflow.dry_runs WHERE at < %(previews_before)s
