-- The user ID of a conversion (c) as the ledger keeps it when its people are hashed.
CASE WHEN c.user_id LIKE 'sha256:%%' THEN c.user_id ELSE 'sha256:' || encode(sha256(convert_to(c.user_id, 'UTF8')), 'hex') END
