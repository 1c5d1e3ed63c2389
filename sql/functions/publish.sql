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
    -- One expression, because each statement here is paid by every sender; what it does not wave through is
    -- refused, defaulted or deduplicated by belfry.deposit.
    IF char_length(publish.topic) BETWEEN 1 AND 255
        AND publish.topic !~ '[\u0001-\u001F\u007F-\u009F/]'
        AND char_length(publish.kind) <= 255
        AND publish.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$'
        AND publish.dedupe_key IS NULL
        AND publish.deliver_at IS NULL
        AND publish.severity IN ('info', 'success', 'warning', 'error')
        AND jsonb_typeof(publish.data) = 'object'
        AND jsonb_typeof(publish.actions) = 'array'
        AND (publish.actor IS NULL OR jsonb_typeof(publish.actor) = 'object')
        AND (publish.tags = '{}' OR (array_ndims(publish.tags) = 1 AND array_position(publish.tags, NULL) IS NULL))
        AND (publish.tenant = ''
            OR (char_length(publish.tenant) <= 255 AND publish.tenant !~ '[\u0001-\u001F\u007F-\u009F/]'))
        AND (publish.group_key IS NULL OR char_length(publish.group_key) BETWEEN 1 AND 255)
        AND octet_length(publish.title) + octet_length(publish.body) + octet_length(publish.data::text)
            + octet_length(publish.actions::text) + octet_length(publish.tags::text)
            + coalesce(octet_length(publish.actor::text), 0) + coalesce(octet_length(publish.action_url), 0) <= 65536
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
