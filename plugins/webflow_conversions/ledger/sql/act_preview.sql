-- What an act on conversions would come to.
SELECT fate, count(*) AS conversions
FROM (SELECT {fate} AS fate FROM webflow.conversions c WHERE c.id = ANY (%(ids)s)) judged
GROUP BY fate
