CREATE OR REPLACE FUNCTION belfry.fleeting(recipient text, since bigint, through bigint)
    RETURNS TABLE (id bigint, kind text, expires_at timestamptz, ended_at timestamptz)
    LANGUAGE sql STABLE
AS $$
SELECT n.id, n.kind, n.expires_at, n.ended_at FROM belfry.notification AS n
WHERE n.recipient = fleeting.recipient AND n.id <= fleeting.through
    AND (n.ended_at IS NOT NULL OR n.expires_at IS NOT NULL)
UNION ALL
SELECT posted.id, posted.kind, posted.expires_at, posted.ended_at
FROM belfry.stays(fleeting.recipient, fleeting.since) AS stay
CROSS JOIN LATERAL (
    SELECT n.id, n.kind, n.expires_at, n.ended_at FROM belfry.notification AS n
    WHERE n.topic = stay.topic AND n.id > stay.since AND n.id <= least(stay.until - 1, fleeting.through)
        AND (n.ended_at IS NOT NULL OR n.expires_at IS NOT NULL)
    OFFSET 0 -- as in belfry.audience
) AS posted
$$;
COMMENT ON FUNCTION belfry.fleeting(text, bigint, bigint) IS
    'Internal: of belfry.audience up to a position what has ended or may expire, along indexes that hold nothing else. '
    'Postgres writes it into the query (inlines it).';
