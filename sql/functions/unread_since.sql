CREATE OR REPLACE FUNCTION belfry.unread_since(
    age interval,
    kind text DEFAULT NULL,
    after_id bigint DEFAULT 0,
    after_recipient text DEFAULT '',
    max_rows integer DEFAULT 1000
) RETURNS TABLE (
    id bigint, recipient text, sent_kind text, title text, body text, action_url text, data jsonb, created_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_argument(
        unread_since.age IS NOT NULL, 'age', 'It is NULL.', 'Give how long ago, such as interval ''1 hour''.');
    PERFORM belfry.require_argument(
        unread_since.after_id IS NOT NULL, 'after_id', 'It is NULL.', 'Give the id of the last row, or 0 to begin.');
    PERFORM belfry.require_argument(
        unread_since.after_recipient IS NOT NULL, 'after_recipient', 'It is NULL.',
        'Give the recipient of the last row, or an empty text to begin.');
    PERFORM belfry.require_argument(
        unread_since.max_rows >= 1, 'max_rows', format('It is %s.', coalesce(unread_since.max_rows::text, 'NULL')),
        'Give 1 or more, or leave it out for 1000.');
    IF unread_since.kind IS NOT NULL THEN
        PERFORM belfry.require_kind(unread_since.kind, false);
    END IF;
    RETURN QUERY
    SELECT n.id, reader.recipient, n.kind, n.title, n.body, n.action_url, n.data, n.created_at
    FROM belfry.notification AS n
    CROSS JOIN LATERAL (
        SELECT n.recipient WHERE n.recipient IS NOT NULL
        UNION ALL
        SELECT s.recipient FROM belfry.subscription AS s
        WHERE s.topic = n.topic AND s.since < n.id AND (s.until IS NULL OR n.id < s.until)
        UNION ALL
        SELECT i.recipient FROM belfry.inbox AS i WHERE n.topic = '*' AND i.since < n.id
    ) AS reader
    CROSS JOIN LATERAL belfry.mailbox(reader.recipient) AS box
    LEFT JOIN belfry.receipt AS c ON c.recipient = reader.recipient AND c.notification_id = n.id
    WHERE n.id >= unread_since.after_id
        AND (n.id, reader.recipient COLLATE "C") > (unread_since.after_id, unread_since.after_recipient COLLATE "C")
        AND n.created_at <= now() - unread_since.age
        AND (unread_since.kind IS NULL OR n.kind = unread_since.kind)
        AND belfry.alive(n.ended_at, n.expires_at)
        AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
        AND NOT coalesce(c.read_at < 'infinity', n.id <= box.read_through)
        AND NOT coalesce(c.archived_at < 'infinity', n.id <= box.archived_through)
        AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
    ORDER BY n.id, reader.recipient COLLATE "C"
    LIMIT unread_since.max_rows;
END
$$;
COMMENT ON FUNCTION belfry.unread_since(interval, text, bigint, text, integer) IS
    'Who still has what unread that was sent at least so long ago: for an application''s own e-mail. A page ordered by id '
    'and recipient; the last row''s id and recipient are after_id and after_recipient of the next. From a cron job: keep '
    'those two and go on from them, and nobody is mailed twice. What commits late with a lower id is passed over then, so '
    'choose an age longer than your longest transaction.';
