CREATE OR REPLACE FUNCTION belfry.enter(recipient text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM belfry.greet(enter.recipient);
    -- An update, not a lock alone: a snapshot that does not see it must not write on top of it (it gets 40001).
    UPDATE belfry.inbox SET since = inbox.since WHERE inbox.recipient = enter.recipient;
END
$$;
COMMENT ON FUNCTION belfry.enter(text) IS
    'Internal: makes the caller the only one who changes the state of this recipient until the end of the transaction. '
    'Called before a position is taken, so that the changes of one recipient are in the order of their commits.';
