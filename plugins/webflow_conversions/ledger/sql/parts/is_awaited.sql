-- Whether a push may still hear of a conversion; a part of statements. One that is not known yet may.
c.push_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM webflow.pushes p WHERE p.id = c.push_id AND p.expires_at <= clock_timestamp()
)
