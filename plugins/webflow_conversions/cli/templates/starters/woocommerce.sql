{% if a.loader == "own" %}
-- Sales that were not made on the website: orders of WooCommerce in the tables of its own database (high-performance order
-- storage, the standard since WooCommerce 8.2). If the tables have another prefix than wp_, change it.
{% else %}
-- Sales that were not made on the website: orders of WooCommerce, as {{ loader }} lands them.
{% endif %}
-- Left out: the website's checkout (the point of sale is 'pos-rest-api', orders by phone are 'admin'), what is unpaid, refunded in
-- full or cancelled, and guests, whom nobody can be credited for.
SELECT
{% if a.loader == "own" %}
    o.id AS conversion_id,
    d.date_paid_gmt AS occurred_at,
    o.customer_id AS identity_key,  -- the ID of the WordPress user
    o.total_amount - COALESCE(o.tax_amount, 0) - COALESCE(d.shipping_tax_amount, 0) AS value  -- without tax
FROM {{ sql.table("wp_wc_orders") }} o
JOIN {{ sql.table("wp_wc_order_operational_data") }} d ON d.order_id = o.id
WHERE {{ sql.within("d.date_paid_gmt") }}
    AND o.type = 'shop_order'
    AND o.status IN ('wc-processing', 'wc-completed')
    AND d.created_via NOT IN ('checkout', 'store-api')
    AND o.customer_id > 0
{% else %}
    o.number AS conversion_id,
    {{ sql.moment("o.date_paid_gmt") }} AS occurred_at,
    o.customer_id AS identity_key,
    {{ sql.number("o.total") }} - COALESCE({{ sql.number("o.total_tax") }}, 0) AS value  -- without tax
FROM {{ sql.table("orders") }} o
WHERE {{ sql.within(sql.moment("o.date_paid_gmt")) }}
    AND o.status IN ('processing', 'completed')
    AND o.created_via NOT IN ('checkout', 'store-api')
    AND o.customer_id > 0
{% endif %}
