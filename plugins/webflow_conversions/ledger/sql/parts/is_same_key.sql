-- Whether the identity key of a source row (s) is that of a conversion (c), of which only a hash may be left.
s.identity_key IS NOT DISTINCT FROM c.identity_key
OR coalesce(c.identity_key = webflow.hashed_key(c.action_id, s.identity_key), false)
