-- What this push had claimed and never sent: all outcomes are recorded by now.
UPDATE webflow.conversions
SET state = 'ready', push_id = NULL
WHERE state = 'sending' AND push_id = %(push)s
