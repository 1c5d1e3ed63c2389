CREATE OR REPLACE FUNCTION belfry.send(
    recipient text,
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
    IF send.dedupe_key IS NULL AND send.deliver_at IS NULL AND num_nulls(
        send.recipient, send.kind, send.title, send.body, send.data, send.actions, send.tags, send.severity,
        send.tenant) = 0
    THEN
        INSERT INTO belfry.notification (
            recipient, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        VALUES (
            send.recipient, send.kind, send.title, send.body, send.data, send.action_url, send.actions,
            send.actor, send.tags, send.severity, send.tenant, send.group_key, send.expires_at)
        RETURNING notification.id INTO sent;
        RETURN sent;
    END IF;
    PERFORM belfry.require_recipient(send.recipient);
    RETURN belfry.deposit(
        send.recipient, NULL, send.kind, send.title, send.body, send.data, send.action_url, send.actions,
        send.actor, send.tags, send.severity, send.tenant, send.dedupe_key, send.group_key, send.deliver_at,
        send.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.send(
    text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to one recipient inside the caller''s transaction, and returns its id. '
    'kind is a dotted lower-case name; severity is info, success, warning or error; actor is {id, name, avatar_url}; '
    'actions is [{name, label, url, style}]; data is any JSON object. A repeated dedupe_key for that recipient returns '
    'the first id and sends nothing (under REPEATABLE READ two racing callers may get 40001: repeat the transaction). '
    'NULL stands for the default. Errors: BF001 to BF007, each with a hint.';
