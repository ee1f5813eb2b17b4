-- Records of runs that name one of these action IDs: sentences that repeat words of an answer or an error.
SELECT r.id, r.notes, r.problems, r.failures, r.verdict, r.counts
FROM webflow.runs r
WHERE EXISTS (
    SELECT FROM unnest(%(action_ids)s::text[]) AS action_id
    WHERE position(action_id IN concat_ws(' ', r.notes::text, r.problems::text, r.failures::text, r.verdict::text, r.counts::text)) > 0
)
ORDER BY r.id
