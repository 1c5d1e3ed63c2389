CREATE OR REPLACE FUNCTION belfry.marked(
    reader text, state text, seen_through bigint, read_through bigint, archived_through bigint, top bigint,
    max_rows integer
) RETURNS TABLE (id bigint)
    LANGUAGE sql STABLE
AS $$
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'all' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, marked.archived_through) AND c.archived_at = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'unread' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, greatest(marked.read_through, marked.archived_through))
     AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
     AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'unseen' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, greatest(marked.seen_through, marked.archived_through))
     AND (c.seen_at = 'infinity' OR c.archived_at = 'infinity')
     AND coalesce(c.seen_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'snoozed' AND c.recipient = marked.reader
     AND c.notification_id <= marked.top AND c.snoozed_until IS NOT NULL
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state IN ('read', 'seen', 'archived') AND c.recipient = marked.reader AND c.notification_id <= marked.top
     AND c.notification_id > CASE marked.state WHEN 'read' THEN marked.read_through
         WHEN 'seen' THEN marked.seen_through ELSE marked.archived_through END
     AND CASE marked.state WHEN 'read' THEN c.read_at WHEN 'seen' THEN c.seen_at ELSE c.archived_at END < 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
$$;
COMMENT ON FUNCTION belfry.marked(text, text, bigint, bigint, bigint, bigint, integer) IS
    'Internal: what may be in that list of the reader though its watermarks say no, by the receipts: the newest, each list '
    'along its own index. Postgres writes it into the query (inlines it).';
