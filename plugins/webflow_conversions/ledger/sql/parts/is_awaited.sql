-- A conversion (c) that is sending is awaited while the push that claimed it is alive. A claim is committed after its push:
-- a push that is not in the ledger was removed, and waits for nothing.
EXISTS (SELECT FROM webflow.pushes p WHERE p.id = c.push_id AND {is_alive})
