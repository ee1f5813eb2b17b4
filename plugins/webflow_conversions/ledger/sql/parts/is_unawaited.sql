-- A conversion (c) that is sending and not awaited: nobody will record its outcome. Recover, reconcile or a person decides.
c.state = 'sending' AND NOT {is_awaited}
