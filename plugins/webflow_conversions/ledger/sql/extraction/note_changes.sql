-- Notes conversions that were sent, or may have been, and whose source row has changed since: each change once, never sent.
WITH changed AS (
    SELECT
        c.id,
        concat_ws('; ',
            CASE WHEN e.action_timestamp_ms IS DISTINCT FROM c.action_timestamp_ms
                 THEN format('time %%s, was %%s', coalesce(e.action_timestamp_ms::text, 'none'), c.action_timestamp_ms) END,
            CASE WHEN e.value IS DISTINCT FROM c.value
                 THEN format('value %%s, was %%s', coalesce(e.value::text, 'none'), coalesce(c.value::text, 'none')) END,
            CASE WHEN NOT webflow.is_same_key(c.action_id, e.identity_key, c.identity_key) THEN 'another identity key' END,
            CASE WHEN e.detail IS DISTINCT FROM c.detail THEN e.detail END
        ) AS detail
    FROM webflow.extracted e
    JOIN webflow.conversions c ON c.id = e.conversion
    WHERE e.extraction = %(extraction)s
      AND e.is_kept
      AND c.forgotten_at IS NULL
      AND (c.state IN ('sending', 'accepted') OR c.attempts_in_doubt > 0 OR c.reason IN ('echo_mismatch', 'written_off'))
), marked AS (
    UPDATE webflow.conversions c
    SET changed_after_sent_at = %(now)s
    FROM changed
    WHERE c.id = changed.id AND c.changed_after_sent_at IS NULL
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, run_id)
    SELECT id, 'changed_after_sent', detail, %(run_id)s
    FROM changed
    WHERE NOT EXISTS (
        SELECT FROM webflow.history h WHERE h.conversion = changed.id AND h.what = 'changed_after_sent' AND h.detail = changed.detail
    )
)
SELECT count(*) AS rows FROM changed
