-- 1111837766 is 'BELF', key 1 the bell. Who gets the shared lock stays silent and keeps it to the end of the transaction,
-- so that no relay can fall asleep before the commit. It is asked in WHEN: the silent case then calls no function.
CREATE OR REPLACE TRIGGER change_ring AFTER INSERT ON belfry.change
    FOR EACH STATEMENT WHEN (NOT pg_try_advisory_xact_lock_shared(1111837766, 1))
    EXECUTE FUNCTION belfry.ring();
COMMENT ON TRIGGER change_ring ON belfry.change IS
    'The doorbell: sends NOTIFY only while a relay that sleeps holds the bell''s advisory lock (1111837766, 1) '
    'exclusively; otherwise a transaction pays for one shared lock and nothing else.';
