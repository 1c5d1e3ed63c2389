CREATE OR REPLACE FUNCTION belfry.broadcast(
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
BEGIN
    RETURN belfry.publish(
        '*', broadcast.kind, broadcast.title, broadcast.body, broadcast.data, broadcast.action_url,
        broadcast.actions, broadcast.actor, broadcast.tags, broadcast.severity, broadcast.tenant,
        broadcast.dedupe_key, broadcast.group_key, broadcast.deliver_at, broadcast.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.broadcast(
    text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to everyone: belfry.publish to the topic *.';
