-- Deals that were won, of HubSpot, as {{ loader }} lands them.
{% if is_fivetran %}
-- Won is a stage with the probability 1. The moment is when the deal entered the stage that it has now: the close date is a
-- property that people change. The person is the deal's oldest contact: a deal without one is rejected as missing_identity.
-- Amounts are in the deal's currency: with several, take property_amount_in_home_currency.
SELECT
    d.deal_id AS conversion_id,
    w.won_at AS occurred_at,
    k.contact_id AS identity_key,
    d.property_amount AS value
FROM {{ sql.table("deal") }} d
JOIN {{ sql.table("deal_pipeline_stage") }} p
    ON p.stage_id = d.deal_pipeline_stage_id
    AND p.pipeline_id = d.deal_pipeline_id
    AND p.probability = 1
JOIN (
    SELECT s.deal_id, s.value AS stage_id, MIN(s.date_entered) AS won_at
    FROM {{ sql.table("deal_stage") }} s
    GROUP BY s.deal_id, s.value
) w ON w.deal_id = d.deal_id AND w.stage_id = d.deal_pipeline_stage_id
LEFT JOIN (
    SELECT c.deal_id, MIN(c.contact_id) AS contact_id
    FROM {{ sql.table("deal_contact") }} c
    GROUP BY c.deal_id
) k ON k.deal_id = d.deal_id
WHERE {{ sql.within("w.won_at") }}
    AND {{ sql.no("d.is_deleted") }}
{% else %}
-- The moment is the close date, which HubSpot sets when a deal is won, and people can change: for one pipeline alone,
-- properties_hs_v2_date_entered_… with the ID of its stage is better. The person is the deal's first contact: a deal without one is
-- rejected as missing_identity. Amounts are in the deal's currency: with several, take properties_amount_in_home_currency.
SELECT
    d.id AS conversion_id,
    {{ sql.moment("d.properties_closedate") }} AS occurred_at,
    {{ sql.first_in_json("d.contacts") }} AS identity_key,
    d.properties_amount AS value
FROM {{ sql.table("deals") }} d
WHERE {{ sql.within(sql.moment("d.properties_closedate")) }}
    AND {{ sql.yes("d.properties_hs_is_closed_won") }}
    AND {{ sql.no("d.archived") }}
{% endif %}
