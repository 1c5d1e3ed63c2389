CREATE OR REPLACE FUNCTION belfry.end_expired(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    done integer;
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell.
    IF NOT EXISTS (
        SELECT FROM belfry.notification AS old WHERE old.expires_at <= now() AND old.ended_at IS NULL) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        UPDATE belfry.notification AS n SET ended_at = now() WHERE n.id IN (
            SELECT old.id FROM belfry.notification AS old WHERE old.expires_at <= now() AND old.ended_at IS NULL
            ORDER BY old.expires_at LIMIT end_expired.max_rows FOR UPDATE SKIP LOCKED)
        RETURNING n.id, n.recipient, n.topic, n.tenant
    ), told AS (
        INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
        SELECT gone.recipient, gone.topic, gone.tenant, 'expired', ARRAY[gone.id] FROM gone ORDER BY gone.id
    )
    SELECT count(*) INTO done FROM gone;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.end_expired(integer) IS
    'Internal: the expired notifications of belfry.deliver_due.';
