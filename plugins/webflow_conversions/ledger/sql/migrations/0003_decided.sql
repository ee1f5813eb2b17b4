-- What was turned away after it had waited, or could not be sent as it is, by the moment of that: what was too old when it was
-- first read may be a month of conversions, and nobody decided about it.
CREATE INDEX conversions_decided ON webflow.conversions (settled_at)
    WHERE state IN ('rejected', 'expired') AND reason IS DISTINCT FROM 'expired_before_seen';
