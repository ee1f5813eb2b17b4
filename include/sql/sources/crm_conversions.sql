-- Deals that the CRM closed, and what they are worth. The stage decides the custom goal's event name.
--
-- A deal is often entered late, so this selects by the last change: whatever closed in the window has changed since.
-- It returns older deals too, and the product says of each why it is not sent.
SELECT
    deal.deal_id AS conversion_id,
    deal.closed_at AS occurred_at,
    deal.contact_id AS identity_key,
    deal.amount AS value,
    CASE deal.stage
        WHEN 'won' THEN 'deal-won'
        WHEN 'qualified' THEN 'lead-qualified'
        ELSE deal.stage
    END AS event_name
FROM crm_deals deal
WHERE deal.updated_at >= :window_start
