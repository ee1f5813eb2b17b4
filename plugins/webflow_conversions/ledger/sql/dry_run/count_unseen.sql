SELECT count(*) AS rows, coalesce(sum(value), 0) AS value FROM {unseen_by_dry_run} unseen
