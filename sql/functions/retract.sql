CREATE OR REPLACE FUNCTION belfry.retract(id bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF retract.id < 0 THEN
        DELETE FROM belfry.scheduled WHERE scheduled.number = -greatest(retract.id, -9223372036854775807);
        RETURN FOUND;
    END IF;
    -- The row first, so that the changes of one notification are in the order of their commits.
    UPDATE belfry.notification SET ended_at = now()
    WHERE notification.id = retract.id AND belfry.alive(notification.ended_at, notification.expires_at);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
    SELECT n.recipient, n.topic, n.tenant, 'retracted', ARRAY[n.id] FROM belfry.notification AS n WHERE n.id = retract.id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.retract(bigint) IS
    'Withdraws a notification from every inbox, count and stream, or cancels a scheduled one by the negative number that '
    'send returned. Returns whether there was one.';
