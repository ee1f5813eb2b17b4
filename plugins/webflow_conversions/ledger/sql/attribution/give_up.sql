UPDATE webflow.conversions c
SET attribution = 'unknown', attribution_reason = 'not_loaded_yet', attribution_judged_at = %(now)s
WHERE c.state = 'ready' AND {in_scope} AND c.attribution IS NULL
