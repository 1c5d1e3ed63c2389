CREATE OR REPLACE FUNCTION belfry.deposit(
    recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, actions jsonb,
    actor jsonb, tags text[], severity text, tenant text, dedupe_key text, group_key text,
    deliver_at timestamptz, expires_at timestamptz
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sent bigint;
BEGIN
    deposit.title := coalesce(deposit.title, '');
    deposit.body := coalesce(deposit.body, '');
    deposit.data := coalesce(deposit.data, '{}');
    deposit.actions := coalesce(deposit.actions, '[]');
    deposit.tags := coalesce(deposit.tags, '{}');
    deposit.severity := coalesce(deposit.severity, 'info');
    deposit.tenant := coalesce(deposit.tenant, '');
    PERFORM belfry.require_notification(
        deposit.recipient, deposit.topic, deposit.tenant, deposit.kind, deposit.title, deposit.body, deposit.data,
        deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity, deposit.dedupe_key,
        deposit.group_key);
    IF NOT isfinite(deposit.deliver_at) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006', COLUMN = 'deliver_at',
            MESSAGE = 'deliver_at is no time',
            DETAIL = format('deliver_at is %s.', deposit.deliver_at),
            HINT = 'Leave deliver_at out to send at once.';
    END IF;
    IF deposit.dedupe_key IS NOT NULL THEN
        SELECT -s.number INTO sent FROM belfry.scheduled AS s
        WHERE s.dedupe_key = deposit.dedupe_key
            AND coalesce(s.recipient, s.topic) = coalesce(deposit.recipient, deposit.topic)
            AND (s.topic IS NULL) = (deposit.topic IS NULL);
        IF FOUND THEN
            RETURN sent;
        END IF;
    END IF;
    -- Who waited for another sender of the same key finds either its row, or, when that one rolled back, room.
    FOR attempt IN 1..100 LOOP
        IF deposit.deliver_at > now() AND NOT EXISTS (
            SELECT FROM belfry.notification AS n
            WHERE n.dedupe_key = deposit.dedupe_key AND (n.recipient = deposit.recipient OR n.topic = deposit.topic))
        THEN
            INSERT INTO belfry.scheduled (
                deliver_at, recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant,
                dedupe_key, group_key, expires_at)
            VALUES (
                deposit.deliver_at, deposit.recipient, deposit.topic, deposit.kind, deposit.title, deposit.body,
                deposit.data, deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity,
                deposit.tenant, deposit.dedupe_key, deposit.group_key, deposit.expires_at)
            ON CONFLICT DO NOTHING
            RETURNING -scheduled.number INTO sent;
            IF sent IS NULL THEN
                SELECT -s.number INTO sent FROM belfry.scheduled AS s
                WHERE s.dedupe_key = deposit.dedupe_key
                    AND coalesce(s.recipient, s.topic) = coalesce(deposit.recipient, deposit.topic)
                    AND (s.topic IS NULL) = (deposit.topic IS NULL);
            END IF;
        ELSE
            INSERT INTO belfry.notification (
                recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant,
                dedupe_key, group_key, expires_at)
            VALUES (
                deposit.recipient, deposit.topic, deposit.kind, deposit.title, deposit.body, deposit.data,
                deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity, deposit.tenant,
                deposit.dedupe_key, deposit.group_key, deposit.expires_at)
            ON CONFLICT DO NOTHING
            RETURNING notification.id INTO sent;
        END IF;
        IF sent IS NULL AND deposit.topic IS NULL THEN
            SELECT notification.id INTO sent FROM belfry.notification
            WHERE notification.recipient = deposit.recipient AND notification.dedupe_key = deposit.dedupe_key;
        ELSIF sent IS NULL THEN
            SELECT notification.id INTO sent FROM belfry.notification
            WHERE notification.topic = deposit.topic AND notification.dedupe_key = deposit.dedupe_key;
        END IF;
        IF sent IS NOT NULL THEN
            RETURN sent;
        END IF;
    END LOOP;
    RAISE EXCEPTION USING
        ERRCODE = 'unique_violation',
        MESSAGE = 'no free id was found for the notification',
        HINT = 'The sequence belfry.position stands below ids that exist; a DBA must set it above the largest.';
END
$$;
COMMENT ON FUNCTION belfry.deposit(
    text, text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Internal: the careful way of send and publish, for a dedupe_key, a deliver_at, and a NULL to refuse or default. '
    'Looks up the first id of a dedupe_key, for which a sender has not the rights.';
