CREATE OR REPLACE FUNCTION belfry.try_deliver(numbers bigint[]) RETURNS boolean
    LANGUAGE plpgsql SET lock_timeout = '1ms'
AS $$
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell. What has expired is not sent.
    IF EXISTS (
        SELECT FROM belfry.scheduled AS s
        WHERE s.number = ANY (try_deliver.numbers) AND belfry.alive(NULL, s.expires_at)) THEN
        -- What was sent in between with the same dedupe_key stands for it.
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at)
        SELECT s.recipient, s.topic, s.kind, s.title, s.body, s.data, s.action_url, s.actions, s.actor, s.tags,
            s.severity, s.tenant, s.dedupe_key, s.group_key, s.expires_at
        FROM belfry.scheduled AS s
        WHERE s.number = ANY (try_deliver.numbers) AND belfry.alive(NULL, s.expires_at)
        ORDER BY s.deliver_at, s.number
        ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM belfry.scheduled WHERE scheduled.number = ANY (try_deliver.numbers);
    RETURN true;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN false;
END
$$;
COMMENT ON FUNCTION belfry.try_deliver(bigint[]) IS
    'Internal: sends these scheduled notifications, whose rows the caller has locked; false, and nothing is done, where '
    'one has the dedupe_key of what another transaction has sent that is still open.';
