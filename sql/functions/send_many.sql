CREATE OR REPLACE FUNCTION belfry.send_many(
    recipients text[],
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
) RETURNS SETOF bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sent bigint[] := '{}';
    one record;
BEGIN
    IF send_many.recipients IS NULL OR array_position(send_many.recipients, NULL) IS NOT NULL THEN
        PERFORM belfry.require_recipient(NULL);
    END IF;
    IF send_many.dedupe_key IS NULL AND send_many.deliver_at IS NULL AND send_many.kind IS NOT NULL THEN
        RETURN QUERY
        INSERT INTO belfry.notification (
            recipient, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        SELECT
            wanted.recipient, send_many.kind, coalesce(send_many.title, ''), coalesce(send_many.body, ''),
            coalesce(send_many.data, '{}'), send_many.action_url, coalesce(send_many.actions, '[]'),
            send_many.actor, coalesce(send_many.tags, '{}'), coalesce(send_many.severity, 'info'),
            coalesce(send_many.tenant, ''), send_many.group_key, send_many.expires_at
        FROM unnest(send_many.recipients) WITH ORDINALITY AS wanted (recipient, place)
        ORDER BY wanted.place
        RETURNING notification.id;
        RETURN;
    END IF;
    -- In one order for all callers, so that two with the same key wait for each other and never in a circle.
    FOR one IN
        SELECT wanted.recipient, wanted.place
        FROM unnest(send_many.recipients) WITH ORDINALITY AS wanted (recipient, place)
        ORDER BY wanted.recipient COLLATE "C", wanted.place
    LOOP
        sent[one.place] := belfry.deposit(
            one.recipient, NULL, send_many.kind, send_many.title, send_many.body, send_many.data,
            send_many.action_url, send_many.actions, send_many.actor, send_many.tags, send_many.severity,
            send_many.tenant, send_many.dedupe_key, send_many.group_key, send_many.deliver_at,
            send_many.expires_at);
    END LOOP;
    RETURN QUERY SELECT found.id FROM unnest(sent) WITH ORDINALITY AS found (id, place) ORDER BY found.place;
END
$$;
COMMENT ON FUNCTION belfry.send_many(
    text[], text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to each of the recipients, all or none, and returns the ids in the order of the array '
    '(a recipient named twice gets two). A dedupe_key counts for each recipient. Arguments and errors as in belfry.send.';
