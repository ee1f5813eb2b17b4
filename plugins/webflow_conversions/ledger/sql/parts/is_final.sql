-- A conversion (c) that its source row no longer changes: a request for it has left or may have, a person decided about it, or
-- the person behind it was forgotten.
c.state IN ('sending', 'accepted')
OR c.attempts_in_doubt > 0 AND coalesce(c.reason, '') <> 'no_longer_in_source'
OR coalesce(c.reason, '') IN ('echo_mismatch', 'written_off', 'taken_back', 'forgotten')
OR c.forgotten_at IS NOT NULL
