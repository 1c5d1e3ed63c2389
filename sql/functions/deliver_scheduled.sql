CREATE OR REPLACE FUNCTION belfry.deliver_scheduled(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    due CONSTANT bigint[] := ARRAY(
        SELECT s.number FROM belfry.scheduled AS s WHERE s.deliver_at <= now()
        ORDER BY s.deliver_at, s.number LIMIT deliver_scheduled.max_rows FOR UPDATE SKIP LOCKED);
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell. What has expired is not sent.
    IF EXISTS (
        SELECT FROM belfry.scheduled AS s WHERE s.number = ANY (due) AND belfry.alive(NULL, s.expires_at)) THEN
        -- What was sent in between with the same dedupe_key stands for it.
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at)
        SELECT s.recipient, s.topic, s.kind, s.title, s.body, s.data, s.action_url, s.actions, s.actor, s.tags,
            s.severity, s.tenant, s.dedupe_key, s.group_key, s.expires_at
        FROM belfry.scheduled AS s
        WHERE s.number = ANY (due) AND belfry.alive(NULL, s.expires_at) ORDER BY s.deliver_at, s.number
        ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM belfry.scheduled WHERE scheduled.number = ANY (due);
    RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION belfry.deliver_scheduled(integer) IS
    'Internal: the scheduled notifications of belfry.deliver_due.';
