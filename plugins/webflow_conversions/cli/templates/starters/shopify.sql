-- Sales of the shops: orders of Shopify's point of sale, as {{ loader }} lands them.
-- Left out: what is unpaid, refunded in full, cancelled, deleted or a test, and sales without a customer, which nobody can be
-- credited for. To add a channel, extend the list of source_name: 'shopify_draft_order' is an order by phone or mail, 'web' is the
-- web shop.
SELECT
    o.name AS conversion_id,  -- the order number, such as #1001; o.id works, too
{% if is_fivetran %}
    o.processed_at AS occurred_at,
    o.customer_id AS identity_key,
{% else %}
    {{ sql.moment("o.processed_at") }} AS occurred_at,
    {{ sql.in_json("o.customer", "id") }} AS identity_key,
{% endif %}
{% if a.loader == "fivetran" %}
    o.total_price_set_shop_amount - COALESCE(o.total_tax_set_shop_amount, 0) AS value  -- without tax, in the shop's currency
{% else %}
    o.total_price - COALESCE(o.total_tax, 0) AS value  -- without tax, in the shop's currency
{% endif %}
{% if is_fivetran %}
FROM {{ sql.table("order", is_reserved=True) }} o
WHERE {{ sql.within("o.processed_at") }}
{% else %}
FROM {{ sql.table("orders") }} o
WHERE {{ sql.within(sql.moment("o.processed_at")) }}
{% endif %}
    AND o.source_name IN ('pos')
{% if a.loader == "fivetran" %}
    AND o.display_financial_status IN ('PAID', 'PARTIALLY_REFUNDED')
{% else %}
    AND o.financial_status IN ('paid', 'partially_refunded')
{% endif %}
    AND o.cancelled_at IS NULL
    AND {{ sql.no("o.test") }}
{% if is_fivetran %}
    AND {{ sql.no("o._fivetran_deleted") }}
    AND o.customer_id IS NOT NULL
{% else %}
    AND o.deleted_at IS NULL
    AND {{ sql.in_json("o.customer", "id") }} IS NOT NULL
{% endif %}
