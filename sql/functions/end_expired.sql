CREATE OR REPLACE FUNCTION belfry.end_expired(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    due CONSTANT bigint[] := ARRAY(
        SELECT old.id FROM belfry.notification AS old WHERE old.expires_at <= now() AND old.ended_at IS NULL
        ORDER BY old.expires_at LIMIT end_expired.max_rows FOR UPDATE SKIP LOCKED);
BEGIN
    IF due <> '{}' THEN -- an INSERT of no row at all would ring the bell
        UPDATE belfry.notification AS n SET ended_at = now() WHERE n.id = ANY (due);
        INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
        SELECT n.recipient, n.topic, n.tenant, 'expired', ARRAY[n.id]
        FROM belfry.notification AS n WHERE n.id = ANY (due) ORDER BY n.id;
    END IF;
    RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION belfry.end_expired(integer) IS
    'Internal: the expired notifications of belfry.deliver_due.';
