-- A conversion (c) that waits, and of which an earlier request has no answer.
c.state IN ('ready', 'held', 'future') AND c.attempts_in_doubt > 0
