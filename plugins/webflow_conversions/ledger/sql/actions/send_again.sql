-- Lets conversions go out again, or wait again if they were withdrawn. The attempt of a dead push counts as one in doubt;
-- other attempts in doubt were counted before.
WITH judged AS (
    SELECT c.id, c.state, c.reason, c.push_id, {effect_of_send_again} AS effect FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)
), changed AS (
    UPDATE webflow.conversions c
    SET state = CASE j.effect WHEN 'held' THEN 'held' WHEN 'later' THEN 'future' ELSE 'ready' END,
        reason = CASE j.effect WHEN 'held' THEN 'unknown_user' END,
        attempts = c.attempts + (j.state = 'sending' AND j.push_id IS NOT NULL)::integer,
        attempts_in_doubt = c.attempts_in_doubt + (j.state = 'sending' AND j.push_id IS NOT NULL)::integer,
        failures = 0,
        retry_at = {free_at},
        settled_at = NULL,
        refused_with = NULL,
        push_id = NULL
    FROM judged j
    WHERE c.id = j.id AND (j.effect IN ('changed', 'later') OR j.effect = 'held' AND j.state = 'withdrawn')
    RETURNING c.id
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, person)
    SELECT id, 'send_again', concat_ws(' ', state, reason), %(person)s FROM judged WHERE effect IN ('changed', 'held', 'later')
)
SELECT effect, count(*) AS conversions FROM judged GROUP BY effect
