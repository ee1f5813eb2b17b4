-- Whether the identity key that a source row (s) has is that of a conversion (c). Of a conversion that finished long ago the
-- ledger keeps a hash of the key, salted with the action ID: retention/hash_people.sql.
s.identity_key IS NOT DISTINCT FROM c.identity_key
OR coalesce(c.identity_key = 'sha256:' || encode(sha256(convert_to(c.action_id || ' ' || s.identity_key, 'UTF8')), 'hex'), false)
