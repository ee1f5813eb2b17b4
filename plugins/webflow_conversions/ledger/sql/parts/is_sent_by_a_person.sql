-- Whether a person sent a conversion (c) again that was withdrawn because its source no longer returned it.
EXISTS (
    SELECT FROM webflow.history h
    WHERE h.conversion = c.id AND h.what = 'send_again' AND h.detail = 'withdrawn no_longer_in_source'
)
