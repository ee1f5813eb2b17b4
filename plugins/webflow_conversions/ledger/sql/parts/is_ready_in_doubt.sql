-- A conversion (c) that goes out again although an earlier request of it has no answer.
c.state = 'ready' AND c.attempts_in_doubt > 0
