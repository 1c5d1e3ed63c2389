CREATE OR REPLACE FUNCTION belfry.publish(
    topic text,
    kind text,
    title text DEFAULT '',
    body text DEFAULT '',
    data jsonb DEFAULT '{}',
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT '[]',
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT '{}',
    severity text DEFAULT 'info',
    tenant text DEFAULT '',
    dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sent bigint;
BEGIN
    -- As little as can be, because every sender pays for it: the table's CHECK is the judge of all arguments, and
    -- belfry.deposit does what is rare.
    IF publish.dedupe_key IS NULL AND publish.deliver_at IS NULL AND num_nulls(
        publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.actions, publish.tags, publish.severity,
        publish.tenant) = 0
    THEN
        INSERT INTO belfry.notification (
            topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        VALUES (
            publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.action_url, publish.actions,
            publish.actor, publish.tags, publish.severity, publish.tenant, publish.group_key, publish.expires_at)
        RETURNING notification.id INTO sent;
        RETURN sent;
    END IF;
    PERFORM belfry.require_topic(publish.topic);
    RETURN belfry.deposit(
        NULL, publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.action_url,
        publish.actions, publish.actor, publish.tags, publish.severity, publish.tenant, publish.dedupe_key,
        publish.group_key, publish.deliver_at, publish.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.publish(
    text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to everyone subscribed to the topic (* is everyone) inside the caller''s transaction, and '
    'returns its id: one row, whatever the number of subscribed. Arguments and errors as in belfry.send.';
