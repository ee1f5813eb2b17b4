-- A conversion (c) that this push may claim now; a push that is not alive may claim nothing.
c.state = 'ready'
AND {in_scope}
AND (c.retry_at IS NULL OR c.retry_at <= clock_timestamp())
AND c.failures < %(max_failures)s
AND EXISTS (SELECT FROM webflow.pushes p WHERE p.id = %(push)s AND {is_alive})
