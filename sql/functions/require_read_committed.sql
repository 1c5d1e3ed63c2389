CREATE OR REPLACE FUNCTION belfry.require_read_committed() RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF012',
            MESSAGE = 'segments are kept under READ COMMITTED alone',
            DETAIL = format('This transaction is %s: it may not see a segment, or who has traits, that was committed since '
                'it began.', upper(current_setting('transaction_isolation'))),
            HINT = 'Call it in a transaction of its own: BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_read_committed() IS
    'Internal: raises BF012 where a snapshot of the whole transaction could leave somebody out of a segment for good.';
