-- Waits for chunks that are being merged, and lets others wait: a merge keeps what a source row says of a conversion that it
-- looked at before it became a tombstone.
LOCK TABLE webflow.extracted IN SHARE ROW EXCLUSIVE MODE
