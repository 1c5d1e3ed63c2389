CREATE OR REPLACE FUNCTION belfry.ring() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    -- 1111837766 is 'BELF', key 1 the bell. Who gets the shared lock stays silent and keeps it to the end of the
    -- transaction, so that no relay can fall asleep before the commit.
    IF NOT pg_try_advisory_xact_lock_shared(1111837766, 1) THEN
        PERFORM pg_notify('belfry', '');
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION belfry.ring() IS
    'Internal: the doorbell. Sends NOTIFY only while a relay that sleeps holds the bell''s advisory lock '
    '(1111837766, 1) exclusively; otherwise a transaction pays for one shared lock and nothing else.';
