CREATE OR REPLACE FUNCTION belfry.mark(
    recipient text, verb text, ids bigint[], until timestamptz, tenant text, topics text[]
) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    box record;
    turned bigint[];
BEGIN
    PERFORM belfry.require_argument(
        mark.ids IS NOT NULL, 'ids', 'It is NULL.', 'Give the ids of notifications; unknown ones are passed over.');
    PERFORM belfry.enter(mark.recipient);
    box := belfry.mailbox(mark.recipient);
    WITH named AS (
        SELECT n.id, c.seen_at, c.read_at, c.archived_at, c.snoozed_until,
            coalesce(c.seen_at < 'infinity', n.id <= box.seen_through) AS seen,
            coalesce(c.read_at < 'infinity', n.id <= box.read_through) AS read,
            coalesce(c.archived_at < 'infinity', n.id <= box.archived_through) AS archived
        FROM belfry.notification AS n
        LEFT JOIN LATERAL (
            SELECT * FROM belfry.receipt WHERE receipt.recipient = mark.recipient AND receipt.notification_id = n.id
            OFFSET 0) AS c ON true
        WHERE n.id = ANY (mark.ids)
            AND (n.recipient = mark.recipient OR EXISTS (
                SELECT FROM belfry.stays(mark.recipient, box.since, mark.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (mark.tenant IS NULL OR n.tenant = mark.tenant)
            AND (mark.verb <> 'unsnoozed' OR c.snoozed_until IS NOT NULL)
    ), wanted AS (
        SELECT named.*,
            (named.seen OR mark.verb IN ('seen', 'read')) AND mark.verb <> 'unsnoozed' AS now_seen,
            (named.read OR mark.verb = 'read') AND mark.verb NOT IN ('unread', 'unsnoozed') AS now_read,
            (named.archived OR mark.verb = 'archived') AND mark.verb <> 'unarchived' AS now_archived,
            CASE mark.verb WHEN 'snoozed' THEN mark.until WHEN 'unsnoozed' THEN NULL ELSE named.snoozed_until END
                AS now_snoozed
        FROM named
    ), written AS (
        INSERT INTO belfry.receipt (recipient, notification_id, seen_at, read_at, archived_at, snoozed_until)
        SELECT mark.recipient, wanted.id,
            belfry.stamp(wanted.now_seen, wanted.seen_at, wanted.id <= box.seen_through),
            belfry.stamp(wanted.now_read, wanted.read_at, wanted.id <= box.read_through),
            belfry.stamp(wanted.now_archived, wanted.archived_at, wanted.id <= box.archived_through),
            wanted.now_snoozed
        FROM wanted
        WHERE (wanted.seen, wanted.read, wanted.archived, wanted.snoozed_until) IS DISTINCT FROM
            (wanted.now_seen, wanted.now_read, wanted.now_archived, wanted.now_snoozed)
        ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
            seen_at = excluded.seen_at, read_at = excluded.read_at, archived_at = excluded.archived_at,
            snoozed_until = excluded.snoozed_until
        RETURNING receipt.notification_id
    )
    SELECT coalesce(array_agg(written.notification_id ORDER BY written.notification_id), '{}') INTO turned FROM written;
    IF turned <> '{}' THEN
        PERFORM belfry.note(mark.recipient, mark.verb, turned, NULL);
        PERFORM belfry.keep_marked(mark.recipient, mark.verb, turned);
        PERFORM belfry.tidy(mark.recipient, turned);
        PERFORM belfry.compact(mark.recipient, mark.verb, cardinality(turned));
    END IF;
    RETURN cardinality(turned);
END
$$;
COMMENT ON FUNCTION belfry.mark(text, text, bigint[], timestamptz, text, text[]) IS
    'Internal: what mark_read, mark_unread, mark_seen, archive, unarchive, snooze and unsnooze do, told by the verb of '
    'the change that they write. Returns how many changed.';
