CREATE OR REPLACE FUNCTION belfry.stays(recipient text, since bigint, topics text[] DEFAULT NULL)
    RETURNS TABLE (topic text, since bigint, until bigint)
    LANGUAGE sql STABLE
AS $$
SELECT s.topic, s.since, s.until FROM belfry.subscription AS s
WHERE s.recipient = stays.recipient AND (stays.topics IS NULL OR s.topic = ANY (stays.topics))
UNION ALL
SELECT '*', stays.since, NULL WHERE stays.topics IS NULL OR '*' = ANY (stays.topics)
$$;
COMMENT ON FUNCTION belfry.stays(text, bigint, text[]) IS
    'Internal: the recipient''s stays in topics, the one in * being since their first contact, which belfry.mailbox '
    'tells; topics narrow. Postgres writes it into the query (inlines it).';
