CREATE OR REPLACE FUNCTION belfry.unread_since(
    age interval,
    kind text DEFAULT NULL,
    after_id bigint DEFAULT 0,
    after_recipient text DEFAULT '',
    max_rows integer DEFAULT 1000
) RETURNS TABLE (
    id bigint, recipient text, sent_kind text, title text, body text, action_url text, data jsonb, created_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = 'force_generic_plan'
    SET jit = 'off'
AS $$
DECLARE
    sent belfry.notification;
    batch CONSTANT integer := 1000;
    place bigint := greatest(unread_since.after_id, 1) - 1; -- up to there it is done
    judged integer;
    missing integer := unread_since.max_rows;
    found integer;
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
    LOOP
        judged := 0;
        FOR sent IN
            SELECT n.* FROM belfry.notification AS n
            WHERE n.id > place AND n.created_at <= now() - unread_since.age
                AND (unread_since.kind IS NULL OR n.kind = unread_since.kind) AND belfry.alive(n.ended_at, n.expires_at)
            ORDER BY n.id LIMIT batch -- hence along the index
        LOOP
            place := sent.id;
            judged := judged + 1;
            -- First what one person was sent and has read, since that is most of what is old.
            CONTINUE WHEN sent.recipient IS NOT NULL AND coalesce(
                (SELECT c.read_at < 'infinity' FROM belfry.receipt AS c
                 WHERE c.recipient = sent.recipient AND c.notification_id = sent.id),
                (SELECT sent.id <= i.read_through FROM belfry.inbox AS i WHERE i.recipient = sent.recipient));
            -- In order before they are judged: a page costs a page, however many are in the topic.
            RETURN QUERY
            SELECT sent.id, reader.recipient, sent.kind, sent.title, sent.body, sent.action_url, sent.data, sent.created_at
            FROM (
                SELECT reached.recipient FROM (
                    SELECT sent.recipient WHERE sent.recipient IS NOT NULL
                    UNION ALL
                    SELECT s.recipient FROM belfry.subscription AS s
                    WHERE sent.topic IS NOT NULL AND s.topic = sent.topic AND s.since < sent.id
                        AND (s.until IS NULL OR sent.id < s.until)
                    UNION ALL
                    SELECT i.recipient FROM belfry.inbox AS i WHERE sent.topic = '*' AND i.since < sent.id
                ) AS reached
                WHERE sent.id > unread_since.after_id OR reached.recipient COLLATE "C" > unread_since.after_recipient
                ORDER BY reached.recipient COLLATE "C"
                OFFSET 0
            ) AS reader
            CROSS JOIN LATERAL belfry.mailbox(reader.recipient) AS box
            LEFT JOIN LATERAL (
                SELECT * FROM belfry.receipt
                WHERE receipt.recipient = reader.recipient AND receipt.notification_id = sent.id OFFSET 0) AS c ON true
            WHERE NOT belfry.muted(sent.id, sent.kind, box.kinds, box.ranges)
                AND NOT coalesce(c.read_at < 'infinity', sent.id <= box.read_through)
                AND NOT coalesce(c.archived_at < 'infinity', sent.id <= box.archived_through)
                AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            ORDER BY reader.recipient COLLATE "C"
            LIMIT missing;
            GET DIAGNOSTICS found = ROW_COUNT;
            missing := missing - found;
            EXIT WHEN missing = 0;
        END LOOP;
        EXIT WHEN missing = 0 OR judged < batch;
    END LOOP;
END
$$;
COMMENT ON FUNCTION belfry.unread_since(interval, text, bigint, text, integer) IS
    'Who still has what unread that was sent at least so long ago: for an application''s own e-mail. A page ordered by id '
    'and recipient; the last row''s id and recipient are after_id and after_recipient of the next. From a cron job: keep '
    'those two and go on from them, and nobody is mailed twice. What commits late with a lower id is passed over then, so '
    'choose an age longer than your longest transaction. What was sent to * reaches here who has been in contact: whoever '
    'has opened a stream or an inbox once.';
