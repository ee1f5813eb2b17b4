-- Gives up conversions that are in doubt. retry_at counts if a person sends one again after all.
WITH judged AS (
    SELECT c.id, c.state, c.reason, c.push_id, {effect_of_write_off} AS effect FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)
), changed AS (
    UPDATE webflow.conversions c
    SET state = 'rejected',
        reason = 'written_off',
        attempts = c.attempts + (j.state = 'sending' AND j.push_id IS NOT NULL)::integer,
        attempts_in_doubt = c.attempts_in_doubt + (j.state = 'sending' AND j.push_id IS NOT NULL)::integer,
        retry_at = {free_at},
        settled_at = clock_timestamp(),
        push_id = NULL
    FROM judged j
    WHERE c.id = j.id AND j.effect = 'changed'
    RETURNING c.id
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, person)
    SELECT id, 'write_off', concat_ws(' ', state, reason), %(person)s FROM judged WHERE effect = 'changed'
)
SELECT effect, count(*) AS conversions FROM judged GROUP BY effect
