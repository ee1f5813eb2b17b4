{% if is_fivetran %}
    {% set opportunity, history, role = "opportunity", "opportunity_history", "opportunity_contact_role" %}
    {% set id, won, stage, amount, deleted = "o.id", "o.is_won", "stage_name", "o.amount", "is_deleted" %}
    {% set of_opportunity, created, contact, primary = "opportunity_id", "created_date", "contact_id", "is_primary" %}
{% else %}
    {% set opportunity, history, role = "Opportunity", "OpportunityHistory", "OpportunityContactRole" %}
    {% set id, won, stage, amount = "o." ~ sql.name("Id"), "o." ~ sql.name("IsWon"), sql.name("StageName"), "o." ~ sql.name("Amount") %}
    {% set deleted, of_opportunity, created = sql.name("IsDeleted"), sql.name("OpportunityId"), sql.name("CreatedDate") %}
    {% set contact, primary = sql.name("ContactId"), sql.name("IsPrimary") %}
{% endif %}
-- Deals that were won: opportunities of Salesforce, as {{ loader }} lands them.
-- The close date is a day that people set; the moment is the first entry of the history with the stage that the deal has now, so
-- sync {{ history }}. The person is the primary contact role: a deal without one is rejected as missing_identity.
-- With several currencies, add a condition on one of them: values are added up as they are.
SELECT
    {{ id }} AS conversion_id,
    w.won_at AS occurred_at,
    r.{{ contact }} AS identity_key,
    {{ amount }} AS value
FROM {{ sql.table(opportunity) }} o
JOIN (
    SELECT h.{{ of_opportunity }} AS opportunity, h.{{ stage }} AS stage, MIN(h.{{ created }}) AS won_at
    FROM {{ sql.table(history) }} h
    GROUP BY h.{{ of_opportunity }}, h.{{ stage }}
) w ON w.opportunity = {{ id }} AND w.stage = o.{{ stage }}
LEFT JOIN {{ sql.table(role) }} r
    ON r.{{ of_opportunity }} = {{ id }}
    AND {{ sql.yes("r." ~ primary) }}
    AND {{ sql.no("r." ~ deleted) }}
WHERE {{ sql.within("w.won_at") }}
    AND {{ sql.yes(won) }}
    AND {{ sql.no("o." ~ deleted) }}
