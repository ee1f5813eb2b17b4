-- A conversion (c) is in doubt when a request of it may have left, and no push waits for the answer.
{is_unawaited} OR {is_ready_in_doubt}
