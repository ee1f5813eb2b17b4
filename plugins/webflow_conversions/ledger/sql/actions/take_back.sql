-- Withdraws conversions that wait. retry_at stays, and counts if a person sends one again after all.
WITH judged AS (
    SELECT c.id, c.state, c.reason, {effect_of_take_back} AS effect FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)
), changed AS (
    UPDATE webflow.conversions c
    SET state = 'withdrawn', reason = 'taken_back', settled_at = clock_timestamp()
    FROM judged j
    WHERE c.id = j.id AND j.effect = 'changed'
    RETURNING c.id
), noted AS (
    INSERT INTO webflow.history (conversion, what, detail, person)
    SELECT id, 'take_back', concat_ws(' ', state, reason), %(person)s FROM judged WHERE effect = 'changed'
)
SELECT effect, count(*) AS conversions FROM judged GROUP BY effect
