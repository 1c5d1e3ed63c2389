CREATE OR REPLACE FUNCTION belfry.settle(through bigint, epoch text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present belfry.settled;
    free boolean;
BEGIN
    -- A row that another is writing is left to it: the next call comes within a second.
    PERFORM FROM belfry.settled WHERE settled.through < settle.through FOR UPDATE SKIP LOCKED;
    free := FOUND;
    SELECT * INTO present FROM belfry.settled;
    IF present.epoch IS DISTINCT FROM settle.epoch THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF008',
            MESSAGE = 'this epoch is not the present one',
            DETAIL = format('The database is in the epoch %s, the caller in %s.',
                to_json(present.epoch), coalesce(to_json(settle.epoch)::text, 'NULL')),
            HINT = 'Forget head and gaps and begin anew with the epoch in belfry.settled.';
    ELSIF settle.through IS NULL OR settle.through > belfry.last_position() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF009',
            MESSAGE = 'nothing can be settled above the sequence',
            DETAIL = format('through is %s, belfry.position stands at %s.',
                coalesce(settle.through::text, 'NULL'), belfry.last_position()),
            HINT = 'The database went back to an earlier state: call belfry.new_epoch with the epoch that you know.';
    ELSIF NOT free THEN
        RETURN present.through;
    END IF;
    UPDATE belfry.settled SET through = settle.through;
    RETURN settle.through;
END
$$;
COMMENT ON FUNCTION belfry.settle(bigint, text) IS
    'For relays: records that nothing is open at or below through, and returns what is recorded, which never goes down. '
    'Refuses another epoch (BF008) and a through above the sequence (BF009). Waits for nobody.';

CREATE OR REPLACE FUNCTION belfry.settle() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- First: who took an id at or below it either still holds the lock that is looked for next, or has ended.
    taken CONSTANT bigint := belfry.last_position();
    own CONSTANT text := (
        SELECT pg_locks.virtualtransaction FROM pg_catalog.pg_locks
        WHERE pg_locks.pid = pg_backend_pid() AND pg_locks.locktype = 'virtualxid' LIMIT 1);
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks
        WHERE pg_locks.locktype = 'relation' AND pg_locks.mode = 'RowExclusiveLock' AND pg_locks.granted
            AND pg_locks.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
            AND pg_locks.relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)
            AND pg_locks.virtualtransaction <> own
    ) THEN
        PERFORM FROM belfry.settled WHERE settled.through < taken FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE belfry.settled SET through = taken;
        END IF;
    END IF;
    RETURN (SELECT settled.through FROM belfry.settled);
END
$$;
COMMENT ON FUNCTION belfry.settle() IS
    'For an app without a relay: when no other transaction has written a notification or change and is still open, '
    'records that nothing is open at or below the last id taken. Returns what is recorded. Waits for nobody.';
