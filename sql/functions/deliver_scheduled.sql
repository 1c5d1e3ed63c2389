CREATE OR REPLACE FUNCTION belfry.deliver_scheduled(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    done integer;
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell.
    IF NOT EXISTS (SELECT FROM belfry.scheduled WHERE scheduled.deliver_at <= now()) THEN
        RETURN 0;
    END IF;
    WITH due AS (
        DELETE FROM belfry.scheduled WHERE scheduled.number IN (
            SELECT s.number FROM belfry.scheduled AS s WHERE s.deliver_at <= now()
            ORDER BY s.deliver_at, s.number LIMIT deliver_scheduled.max_rows FOR UPDATE SKIP LOCKED)
        RETURNING *
    ), sent AS (
        -- What was sent in between with the same dedupe_key stands for it; what has expired is not sent.
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at)
        SELECT recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at
        FROM due WHERE belfry.alive(NULL, due.expires_at) ORDER BY due.deliver_at, due.number
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO done FROM due;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.deliver_scheduled(integer) IS
    'Internal: the scheduled notifications of belfry.deliver_due.';
