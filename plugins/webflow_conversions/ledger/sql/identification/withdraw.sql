-- Withdraws what waits in the window and was not returned by an extraction that returns all. What another run has read
-- since the extraction began stays: the row came later. So does what a person sent again after it was withdrawn.
WITH gone AS MATERIALIZED (
    SELECT c.id FROM webflow.conversions c
    WHERE c.state = 'ready' AND {in_scope} AND {is_unseen} AND c.first_seen_at <= %(read_at)s AND NOT {is_sent_by_a_person}
    UNION ALL
    SELECT c.id FROM webflow.conversions c
    WHERE c.state IN ('held', 'future') AND {in_scope} AND {is_unseen} AND c.first_seen_at <= %(read_at)s AND NOT {is_sent_by_a_person}
), withdrawn AS (
    UPDATE webflow.conversions c
    SET state = 'withdrawn',
        reason = 'no_longer_in_source',
        settled_at = %(now)s,
        run_id = %(run_id)s,
        failures = 0,
        retry_at = NULL
    WHERE c.id = ANY (ARRAY(SELECT id FROM gone)) AND c.state IN ('ready', 'held', 'future')
    RETURNING c.id, c.value
), told AS (
    INSERT INTO webflow.history (conversion, what, run_id) SELECT id, 'withdrawn', %(run_id)s FROM withdrawn
)
SELECT count(*) AS rows, coalesce(sum(value), 0) AS value FROM withdrawn
