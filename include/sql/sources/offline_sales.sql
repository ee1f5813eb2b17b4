-- Sales of the shops. sold_at is the time on the shop's wall; the shop knows its zone.
--
-- The window is aware, and a local time can be up to 14 hours away from UTC, hence the margin: what lies outside
-- the window is told apart by the product, not by this query.
SELECT
    sale.sale_number AS conversion_id,
    sale.sold_at AS occurred_at,
    sale.loyalty_card AS identity_key,
    sale.amount AS value,
    shop.timezone AS timezone
FROM shop_sales sale
JOIN shops shop ON shop.shop_id = sale.shop_id
WHERE sale.sold_at >= CAST(:window_start AS timestamptz) AT TIME ZONE 'UTC' - INTERVAL '14 hours'
  AND sale.sold_at < CAST(:window_end AS timestamptz) AT TIME ZONE 'UTC' + INTERVAL '14 hours'
