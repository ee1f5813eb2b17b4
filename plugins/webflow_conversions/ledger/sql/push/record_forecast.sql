UPDATE webflow.runs
SET forecast = coalesce(forecast, '{}') || jsonb_build_object(%(destination)s::text, %(forecast)s::jsonb)
WHERE id = %(run)s
