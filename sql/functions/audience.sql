CREATE OR REPLACE FUNCTION belfry.audience(
    recipient text, since bigint, above bigint, through bigint, topics text[] DEFAULT NULL
) RETURNS TABLE (id bigint, kind text, tenant text, expires_at timestamptz, ended_at timestamptz)
    LANGUAGE sql STABLE
AS $$
SELECT n.id, n.kind, n.tenant, n.expires_at, n.ended_at FROM belfry.notification AS n
WHERE n.recipient = audience.recipient AND n.id > audience.above AND n.id <= audience.through
UNION ALL
SELECT posted.id, posted.kind, posted.tenant, posted.expires_at, posted.ended_at
FROM belfry.stays(audience.recipient, audience.since, audience.topics) AS stay
CROSS JOIN LATERAL (
    SELECT n.id, n.kind, n.tenant, n.expires_at, n.ended_at FROM belfry.notification AS n
    WHERE n.topic = stay.topic AND n.id > greatest(stay.since, audience.above)
        AND n.id <= least(stay.until - 1, audience.through)
    OFFSET 0 -- stay by stay, over the index
) AS posted
$$;
COMMENT ON FUNCTION belfry.audience(text, bigint, bigint, bigint, text[]) IS
    'Internal: the notifications above one position up to another that were sent to the recipient, directly or by '
    'topic, dead and muted ones too. since is that of belfry.mailbox; topics narrow. Postgres writes it into the query '
    '(inlines it).';
