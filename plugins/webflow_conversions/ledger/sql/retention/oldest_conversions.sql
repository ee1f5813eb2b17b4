-- A page of the ledger in the order in which it was written.
SELECT id, first_seen_at < %(before)s AS is_old FROM webflow.conversions WHERE id > %(after_id)s ORDER BY id LIMIT %(rows)s
