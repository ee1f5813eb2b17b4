-- The effect that an action on conversions would have.
SELECT effect, count(*) AS conversions
FROM (SELECT {effect} AS effect FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)) judged
GROUP BY effect
