-- Payments: charges of Stripe that succeeded, as {{ loader }} lands them.
-- Left out: what was not captured, is refunded in full or a test, other currencies than {{ a.currency }}, and charges without a
-- customer, whom nobody can be credited for. Renewals of subscriptions are charges, too: if they are no conversions, add a condition.
SELECT
    c.id AS conversion_id,
    c.created AS occurred_at,
    {{ "c.customer_id" if is_fivetran else "c.customer" }} AS identity_key,
    {{ sql.minor_units("c.amount - COALESCE(c.amount_refunded, 0)") }} AS value  -- Stripe counts in the currency's smallest unit
FROM {{ sql.table("charge" if is_fivetran else "charges") }} c
WHERE {{ sql.within("c.created") if is_fivetran else sql.seconds_within("c.created") }}
    AND c.status = 'succeeded'
    AND {{ sql.yes("c.captured") }}
    AND {{ sql.no("c.refunded") }}
    AND {{ sql.yes("c.livemode") }}
    AND c.currency = '{{ a.currency | lower }}'
    AND {{ "c.customer_id" if is_fivetran else "c.customer" }} IS NOT NULL
