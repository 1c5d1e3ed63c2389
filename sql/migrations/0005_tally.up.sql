-- The total of an inbox, counted once: what is settled is not counted again.
-- Locks: belfry.inbox and belfry.notification exclusively to the end, while two small indexes are built, which reads the
-- second once: about half a second for a million rows.
-- No index can be built or dropped CONCURRENTLY in a transaction:
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '900ms';
SET LOCAL statement_timeout = '600s';
SET LOCAL ROLE belfry_owner;

-- Both at once, in the order in which marks take them, and given up before Postgres looks for deadlocks: so it is
-- never a sender who is sent away.
LOCK TABLE belfry.inbox, belfry.notification IN ACCESS EXCLUSIVE MODE;

ALTER TABLE belfry.inbox
    ADD COLUMN kept bigint NOT NULL DEFAULT 0,
    ADD COLUMN kept_through bigint NOT NULL DEFAULT 0,
    ADD COLUMN kept_pruned bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN belfry.inbox.kept IS
    'How many notifications at or below kept_through were sent to the recipient, are not muted and not archived; what has '
    'ended or is snoozed counts here, and belfry.kept takes it off. Who marks keeps it, in the same transaction.';
COMMENT ON COLUMN belfry.inbox.kept_through IS
    'Never above belfry.settled, so that no notification, stay or preference begins or ends at or below it any more. 0 '
    'has kept counted anew, at the next mark that raises a watermark: do so after a DELETE by hand.';
COMMENT ON COLUMN belfry.inbox.kept_pruned IS
    'belfry.settled.pruned when it was counted: once that has moved, kept tells nothing until it is counted anew.';
CREATE INDEX notification_recipient_fleeting_idx ON belfry.notification (recipient, id)
    INCLUDE (kind, expires_at, ended_at)
    WHERE recipient IS NOT NULL AND (ended_at IS NOT NULL OR expires_at IS NOT NULL);
CREATE INDEX notification_topic_fleeting_idx ON belfry.notification (topic, id)
    INCLUDE (kind, expires_at, ended_at)
    WHERE topic IS NOT NULL AND (ended_at IS NOT NULL OR expires_at IS NOT NULL);

--- functions/fleeting.sql ---
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
--- end ---

--- functions/keep.sql ---
CREATE OR REPLACE FUNCTION belfry.keep(recipient text, through bigint) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(keep.recipient);
    base record;
BEGIN
    SELECT CASE WHEN inbox.kept_pruned = settled.pruned THEN inbox.kept_through ELSE 0 END AS through, settled.pruned
    INTO base FROM belfry.inbox, belfry.settled WHERE inbox.recipient = keep.recipient;
    IF keep.through > base.through THEN
        UPDATE belfry.inbox SET
            kept = CASE WHEN base.through > 0 THEN inbox.kept ELSE 0 END + counted.more,
            kept_through = keep.through, kept_pruned = base.pruned
        FROM (
            SELECT count(*) AS more
            FROM belfry.audience(keep.recipient, box.since, base.through, keep.through) AS item
            WHERE NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
                AND CASE WHEN item.id > box.archived_through THEN item.id NOT IN (
                    SELECT c.notification_id FROM belfry.receipt AS c
                    WHERE c.recipient = keep.recipient AND c.notification_id > base.through
                        AND c.notification_id > box.archived_through AND c.archived_at < 'infinity')
                ELSE item.id IN (
                    SELECT c.notification_id FROM belfry.receipt AS c
                    WHERE c.recipient = keep.recipient AND c.notification_id > base.through
                        AND c.notification_id <= box.archived_through AND c.archived_at = 'infinity')
                END
        ) AS counted
        WHERE inbox.recipient = keep.recipient;
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.keep(text, bigint) IS
    'Internal: brings inbox.kept up to a position that is settled. Counts what came since the last time, or all, where '
    'rows have been pruned meanwhile. The caller is in belfry.enter.';
--- end ---

--- functions/keep_marked.sql ---
CREATE OR REPLACE FUNCTION belfry.keep_marked(recipient text, verb text, ids bigint[]) RETURNS void
    LANGUAGE sql
AS $$
UPDATE belfry.inbox SET kept = inbox.kept + CASE keep_marked.verb WHEN 'archived' THEN -1 ELSE 1 END * (
    SELECT count(*) FROM unnest(keep_marked.ids) AS turned (id) WHERE turned.id <= inbox.kept_through)
WHERE inbox.recipient = keep_marked.recipient AND keep_marked.verb IN ('archived', 'unarchived')
$$;
COMMENT ON FUNCTION belfry.keep_marked(text, text, bigint[]) IS
    'Internal: lets inbox.kept follow notifications that have been archived, or taken back out of the archive.';
--- end ---

--- functions/kept.sql ---
CREATE OR REPLACE FUNCTION belfry.kept(recipient text, OUT kept bigint, OUT through bigint)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(kept.recipient);
    many CONSTANT integer := 2000; -- as in belfry.tally
BEGIN
    SELECT inbox.kept, inbox.kept_through INTO kept, through
    FROM belfry.inbox JOIN belfry.settled ON settled.pruned = inbox.kept_pruned
    WHERE inbox.recipient = kept.recipient AND inbox.kept_through > 0;
    IF through IS NULL OR (
        SELECT count(*) FROM (
            SELECT FROM belfry.fleeting(kept.recipient, box.since, kept.through) LIMIT many) AS counted
    ) = many THEN
        kept := 0;
        through := 0;
        RETURN;
    END IF;
    -- What is dead has been counted too, and so has what is snoozed.
    kept := kept - (
        SELECT count(*) FROM belfry.fleeting(kept.recipient, box.since, kept.through) AS item
        LEFT JOIN LATERAL (
            SELECT receipt.archived_at FROM belfry.receipt
            WHERE receipt.recipient = kept.recipient AND receipt.notification_id = item.id OFFSET 0) AS c ON true
        WHERE NOT belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND NOT coalesce(c.archived_at < 'infinity', item.id <= box.archived_through)
    ) - (
        SELECT count(*) FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = kept.recipient AND c.notification_id <= kept.through AND c.snoozed_until > now()
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND NOT coalesce(c.archived_at < 'infinity', n.id <= box.archived_through)
    );
END
$$;
COMMENT ON FUNCTION belfry.kept(text) IS
    'Internal: how much is in the inbox at or below a position, from inbox.kept; the position is 0 where that cannot tell, '
    'or much of it has ended or will expire. In the snapshot of the calling statement.';
--- end ---

--- functions/compact.sql ---
CREATE OR REPLACE FUNCTION belfry.compact(recipient text, verb text, turned bigint) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(compact.recipient);
    old CONSTANT bigint := CASE compact.verb
        WHEN 'seen' THEN box.seen_through WHEN 'read' THEN box.read_through WHEN 'archived' THEN box.archived_through
    END;
    settled bigint;
    marks bigint;
    raised bigint;
BEGIN
    IF old IS NULL THEN
        RETURN;
    END IF;
    IF compact.verb = 'read' THEN -- who reads has seen
        PERFORM belfry.compact(compact.recipient, 'seen', compact.turned);
    END IF;
    SELECT count(*) INTO marks FROM belfry.receipt AS c
    WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
        WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity';
    -- Once for every hundred, since it reads all that is above the watermark.
    IF marks <= 500 OR (marks - 1) / 100 = (marks - compact.turned - 1) / 100 THEN
        RETURN;
    END IF;
    settled := belfry.settled_here();
    SELECT max(summed.id) INTO raised FROM (
        SELECT item.id, sum(CASE WHEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
                    WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity'
            ) THEN 1 ELSE -1 END) OVER (ORDER BY item.id) AS balance
        FROM belfry.audience(compact.recipient, box.since, old, settled) AS item
    ) AS summed WHERE summed.balance >= 0;
    IF raised IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO belfry.receipt AS kept (recipient, notification_id, seen_at, read_at, archived_at)
    SELECT compact.recipient, item.id,
        belfry.stamp(compact.verb <> 'seen' AND item.id <= box.seen_through, NULL, item.id <= box.seen_through
            OR compact.verb = 'seen'),
        belfry.stamp(compact.verb <> 'read' AND item.id <= box.read_through, NULL, item.id <= box.read_through
            OR compact.verb = 'read'),
        belfry.stamp(compact.verb <> 'archived' AND item.id <= box.archived_through, NULL,
            item.id <= box.archived_through OR compact.verb = 'archived')
    FROM belfry.audience(compact.recipient, box.since, old, raised) AS item
    WHERE item.id NOT IN (
        SELECT c.notification_id FROM belfry.receipt AS c
        WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
            WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity')
    ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
        seen_at = CASE compact.verb WHEN 'seen' THEN 'infinity' ELSE kept.seen_at END,
        read_at = CASE compact.verb WHEN 'read' THEN 'infinity' ELSE kept.read_at END,
        archived_at = CASE compact.verb WHEN 'archived' THEN 'infinity' ELSE kept.archived_at END;
    PERFORM belfry.raise_watermark(compact.recipient, compact.verb, raised);
    PERFORM belfry.keep(compact.recipient, raised);
END
$$;
COMMENT ON FUNCTION belfry.compact(text, text, bigint) IS
    'Internal: where more than 500 receipts above a watermark say the same (verb seen, read or archived), raises it as '
    'far as at least half of what it passes says so, and gives the others a receipt that says the contrary. So a count '
    'reads about as many rows as it counts. Changes nothing that anybody sees; turned is how many receipts are new.';
--- end ---

--- functions/listing.sql ---
CREATE OR REPLACE FUNCTION belfry.listing(
    reader text, state text, before bigint, max_rows integer, kinds text[], tags text[], tenant text, topics text[]
) RETURNS TABLE (
    id bigint, group_count integer, group_ids bigint[], seen boolean, read boolean, archived boolean,
    snoozed_until timestamptz
)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(listing.reader);
    -- What the watermarks say to be in the list; the rest is found by its receipts (belfry.marked).
    low CONSTANT bigint := CASE listing.state
        WHEN 'all' THEN box.archived_through
        WHEN 'unread' THEN greatest(box.read_through, box.archived_through)
        WHEN 'unseen' THEN greatest(box.seen_through, box.archived_through)
        ELSE 0 END;
    high CONSTANT bigint := CASE listing.state
        WHEN 'read' THEN box.read_through WHEN 'seen' THEN box.seen_through
        WHEN 'archived' THEN box.archived_through WHEN 'snoozed' THEN 0
        ELSE 9223372036854775807 END;
    top bigint := coalesce(listing.before - 1, 9223372036854775807);
    batch integer := listing.max_rows;
    marks bigint[]; -- the newest that only receipts tell of
    edge bigint; -- below it there may be more of them
    found bigint;
    lowest bigint;
    leaders bigint[];
    listed bigint[] := '{}';
    direct boolean := true;
BEGIN
    -- A scan backwards over rows that are compared with rows does not stop at the lower one, but where the recipient's
    -- rows end: where nothing was sent to them above the watermark, it must not begin.
    IF low > 0 THEN
        SELECT n.recipient = listing.reader INTO direct FROM belfry.notification AS n
        WHERE n.recipient IS NOT NULL AND (n.recipient, n.id) > (listing.reader, low)
        ORDER BY n.recipient, n.id LIMIT 1;
    END IF;
    LOOP
        SELECT coalesce(array_agg(newest.id ORDER BY newest.id), '{}') INTO marks FROM (
            SELECT m.id FROM belfry.marked(listing.reader, listing.state, box.seen_through, box.read_through,
                box.archived_through, top, batch * 2) AS m ORDER BY m.id DESC LIMIT batch * 2) AS newest;
        edge := CASE WHEN cardinality(marks) = batch * 2 THEN marks[1] ELSE 0 END;
        -- Each source along its own index: hence rows are compared with rows, and ordered by the same two columns.
        WITH candidate AS (
            (SELECT n.id, n.recipient, n.topic, n.group_key
             FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
             WHERE n.recipient IS NOT NULL AND (n.recipient, n.id) > (listing.reader, low)
                AND (n.recipient, n.id) <= (listing.reader, CASE WHEN direct THEN least(high, top) ELSE 0 END)
             ORDER BY n.recipient DESC, n.id DESC LIMIT batch)
            UNION ALL
            SELECT posted.* FROM belfry.stays(listing.reader, box.since, listing.topics) AS stay CROSS JOIN LATERAL (
                SELECT n.id, n.recipient, n.topic, n.group_key
                FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                    box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
                WHERE n.topic IS NOT NULL AND (n.topic, n.id) > (stay.topic, greatest(stay.since, low))
                    AND (n.topic, n.id) <= (stay.topic, least(stay.until - 1, high, top))
                ORDER BY n.topic DESC, n.id DESC LIMIT batch) AS posted
            UNION ALL
            SELECT kept.* FROM unnest(marks) AS m (id) CROSS JOIN LATERAL (
                SELECT n.id, n.recipient, n.topic, n.group_key
                FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                    box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
                WHERE n.id = m.id AND (n.recipient = listing.reader OR EXISTS (
                    SELECT FROM belfry.stays(listing.reader, box.since, listing.topics) AS stay
                    WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
                OFFSET 0) AS kept
        ), newest AS (
            SELECT candidate.* FROM candidate WHERE candidate.id >= edge ORDER BY candidate.id DESC LIMIT batch
        )
        SELECT count(*), min(newest.id), coalesce(array_agg(newest.id ORDER BY newest.id DESC) FILTER (
            WHERE newest.group_key IS NULL OR NOT EXISTS (
                SELECT FROM belfry.grouped(listing.reader, box.since, box.seen_through, box.read_through,
                    box.archived_through, box.kinds, box.ranges, listing.state, listing.kinds, listing.tags,
                    listing.tenant, newest.recipient, newest.topic, newest.group_key) AS other
                WHERE other.id > newest.id)), '{}')
        INTO found, lowest, leaders FROM newest;
        listed := listed || leaders;
        EXIT WHEN cardinality(listed) >= listing.max_rows OR (found < batch AND edge = 0);
        -- What is behind the newest of its group, or not in the filter, is passed over, however much that is.
        top := CASE WHEN found < batch THEN edge ELSE lowest END - 1;
        batch := least(batch * 4, 10000);
    END LOOP;
    RETURN QUERY
    SELECT n.id, coalesce(team.size, 1)::integer, coalesce(team.ids, ARRAY[n.id]),
        coalesce(c.seen_at < 'infinity', n.id <= box.seen_through),
        coalesce(c.read_at < 'infinity', n.id <= box.read_through),
        coalesce(c.archived_at < 'infinity', n.id <= box.archived_through),
        CASE WHEN c.snoozed_until > now() THEN c.snoozed_until END
    FROM unnest(listed[1:listing.max_rows]) AS shown (id)
    CROSS JOIN LATERAL (SELECT * FROM belfry.notification WHERE notification.id = shown.id OFFSET 0) AS n
    LEFT JOIN LATERAL (
        SELECT * FROM belfry.receipt WHERE receipt.recipient = listing.reader AND receipt.notification_id = n.id
        OFFSET 0) AS c ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS size, (array_agg(other.id ORDER BY other.id DESC))[1:100] AS ids
        FROM belfry.grouped(listing.reader, box.since, box.seen_through, box.read_through, box.archived_through,
            box.kinds, box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant, n.recipient, n.topic,
            n.group_key) AS other
    ) AS team ON n.group_key IS NOT NULL;
END
$$;
COMMENT ON FUNCTION belfry.listing(text, text, bigint, integer, text[], text[], text, text[]) IS
    'Internal: what belfry.list_inbox shows, in the snapshot of the calling statement, without the content.';
--- end ---

--- functions/mark.sql ---
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
--- end ---

--- functions/mark_each.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_each(recipient text, verb text, ids bigint[]) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(mark_each.recipient);
BEGIN
    INSERT INTO belfry.receipt AS kept (recipient, notification_id, seen_at, read_at, archived_at)
    SELECT mark_each.recipient, named.id,
        belfry.stamp(named.id <= box.seen_through OR mark_each.verb IN ('seen', 'read'), NULL,
            named.id <= box.seen_through),
        belfry.stamp(named.id <= box.read_through OR mark_each.verb = 'read', NULL, named.id <= box.read_through),
        belfry.stamp(named.id <= box.archived_through OR mark_each.verb = 'archived', NULL,
            named.id <= box.archived_through)
    FROM unnest(mark_each.ids) AS named (id)
    ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
        seen_at = CASE WHEN mark_each.verb IN ('seen', 'read') AND coalesce(kept.seen_at, 'infinity') = 'infinity'
            THEN now() ELSE kept.seen_at END,
        read_at = CASE WHEN mark_each.verb = 'read' THEN now() ELSE kept.read_at END,
        archived_at = CASE WHEN mark_each.verb = 'archived' THEN now() ELSE kept.archived_at END;
    PERFORM belfry.keep_marked(mark_each.recipient, mark_each.verb, mark_each.ids);
    PERFORM belfry.tidy(mark_each.recipient, mark_each.ids);
END
$$;
COMMENT ON FUNCTION belfry.mark_each(text, text, bigint[]) IS
    'Internal: receipts for notifications that are not yet as the verb (seen, read or archived) says.';
--- end ---

--- functions/mark_through.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_through(recipient text, verb text, through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    kept_through bigint;
BEGIN
    -- What stays for another reason says it too, so that it leaves the indexes of what contradicts a watermark.
    UPDATE belfry.receipt AS c SET
        seen_at = CASE WHEN mark_through.verb IN ('seen', 'read') AND coalesce(c.seen_at, 'infinity') = 'infinity'
            THEN now() ELSE c.seen_at END,
        read_at = CASE WHEN mark_through.verb = 'read' AND coalesce(c.read_at, 'infinity') = 'infinity'
            THEN now() ELSE c.read_at END,
        archived_at = CASE WHEN mark_through.verb = 'archived' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            THEN now() ELSE c.archived_at END
    WHERE c.recipient = mark_through.recipient AND c.notification_id <= mark_through.through
        AND CASE mark_through.verb
            WHEN 'seen' THEN coalesce(c.seen_at, 'infinity') WHEN 'read' THEN coalesce(c.read_at, 'infinity')
            ELSE coalesce(c.archived_at, 'infinity') END = 'infinity';
    IF mark_through.verb = 'read' THEN
        PERFORM belfry.raise_watermark(mark_through.recipient, 'seen', mark_through.through);
    END IF;
    PERFORM belfry.raise_watermark(mark_through.recipient, mark_through.verb, mark_through.through);
    SELECT inbox.kept_through INTO kept_through FROM belfry.inbox WHERE inbox.recipient = mark_through.recipient;
    IF mark_through.verb = 'archived' THEN
        UPDATE belfry.inbox SET kept = 0, kept_through = mark_through.through
        WHERE inbox.recipient = mark_through.recipient;
    END IF;
    PERFORM belfry.keep(mark_through.recipient, greatest(mark_through.through, kept_through));
END
$$;
COMMENT ON FUNCTION belfry.mark_through(text, text, bigint) IS
    'Internal: lets the watermark say that everything at or below a position is as the verb (seen, read or archived) says.';
--- end ---

--- functions/tally.sql ---
CREATE OR REPLACE FUNCTION belfry.tally(
    recipient text, tenant text, topics text[], head bigint, gaps int8multirange,
    OUT unread bigint, OUT unseen bigint
)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(tally.recipient);
    -- Above it no watermark says anything; at or below it only receipts that contradict one are of interest.
    ground CONSTANT bigint := greatest(box.read_through, box.archived_through);
    -- Each of those costs ten rows of an index, so where there are very many everything above the lowest is read.
    few CONSTANT integer := 100;
    many CONSTANT integer := 2000;
    ground_read bigint := ground;
    found bigint;
    alone boolean := false; -- the receipts tell all by themselves, but for what has ended
    pruned bigint;
BEGIN
    SELECT settled.pruned, (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = tally.recipient AND c.notification_id <= ground
                AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            LIMIT many) AS counted)
    INTO pruned, found FROM belfry.settled;
    IF found > few AND box.kinds IS NULL AND tally.tenant IS NULL AND tally.topics IS NULL THEN
        alone := (
            SELECT count(*) FROM (
                SELECT FROM belfry.fleeting(tally.recipient, box.since, ground) LIMIT many) AS counted) < many;
    END IF;
    IF found = many AND NOT alone THEN
        SELECT min(c.notification_id) - 1 INTO ground_read FROM belfry.receipt AS c
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity';
    END IF;
    -- IN and NOT IN, because they are hashed whatever the planner expects.
    SELECT count(*), count(*) FILTER (WHERE NOT counted.seen) INTO unread, unseen
    FROM (
        SELECT CASE WHEN item.id > box.seen_through THEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > greatest(ground_read, box.seen_through)
                    AND c.seen_at < 'infinity')
            ELSE item.id NOT IN ( -- as the index of unseen ones has it; here nothing is archived
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read
                    AND c.notification_id <= box.seen_through AND c.seen_at = 'infinity'
                    AND coalesce(c.seen_at, 'infinity') = 'infinity'
                    AND coalesce(c.archived_at, 'infinity') = 'infinity')
            END AS seen
        FROM belfry.audience(
            tally.recipient, box.since, ground_read, coalesce(tally.head, 9223372036854775807), tally.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR item.tenant = tally.tenant)
            AND (tally.gaps IS NULL OR NOT item.id <@ tally.gaps)
            AND CASE WHEN item.id > ground THEN item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground
                    AND (c.read_at < 'infinity' OR c.archived_at < 'infinity' OR c.snoozed_until > now()))
            ELSE item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.notification_id <= ground
                    AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                    AND coalesce(c.read_at, 'infinity') = 'infinity'
                    AND coalesce(c.archived_at, 'infinity') = 'infinity'
                    AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
                    AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
                    AND (c.snoozed_until IS NULL OR c.snoozed_until <= now()))
            END
        UNION ALL
        SELECT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through)
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE NOT alone AND ground_read = ground AND c.recipient = tally.recipient AND c.notification_id <= ground
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
            AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR n.tenant = tally.tenant)
            AND (tally.head IS NULL OR n.id <= tally.head)
            AND (tally.gaps IS NULL OR NOT n.id <@ tally.gaps)
            AND (n.recipient = tally.recipient OR EXISTS (
                SELECT FROM belfry.stays(tally.recipient, box.since, tally.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
        UNION ALL
        SELECT coalesce(c.seen_at < 'infinity', c.notification_id <= box.seen_through)
        FROM belfry.receipt AS c
        WHERE alone AND c.recipient = tally.recipient AND c.notification_id <= ground AND c.notification_id > pruned
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
            AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND (tally.head IS NULL OR c.notification_id <= tally.head)
            AND (tally.gaps IS NULL OR NOT c.notification_id <@ tally.gaps)
            AND c.notification_id NOT IN (
                SELECT gone.id FROM belfry.fleeting(tally.recipient, box.since, ground) AS gone
                WHERE NOT belfry.alive(gone.ended_at, gone.expires_at))
    ) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.tally(text, text, text[], bigint, int8multirange) IS
    'Internal: counts what is unread, and of that what is unseen, up to the head and outside of the gaps, in the snapshot '
    'of the calling statement. Reads what is above the watermarks, and the receipts that contradict them.';
--- end ---

--- functions/total.sql ---
CREATE OR REPLACE FUNCTION belfry.total(recipient text, tenant text, topics text[], OUT total bigint)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(total.recipient);
    ground CONSTANT bigint := box.archived_through;
    many CONSTANT integer := 2000; -- as in belfry.tally
    ground_read bigint := ground;
    below record; -- what need not be counted again
BEGIN
    SELECT coalesce(whole.kept, 0) AS kept, coalesce(whole.through, 0) AS through INTO below
    FROM (SELECT total.tenant IS NULL AND total.topics IS NULL AS so) AS asked
    LEFT JOIN LATERAL belfry.kept(total.recipient) AS whole ON asked.so;
    IF (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = total.recipient AND c.notification_id > below.through
                AND c.notification_id <= ground AND c.archived_at = 'infinity'
            LIMIT many) AS counted
    ) = many THEN
        SELECT min(c.notification_id) - 1 INTO ground_read FROM belfry.receipt AS c
        WHERE c.recipient = total.recipient AND c.notification_id > below.through AND c.notification_id <= ground
            AND c.archived_at = 'infinity';
    END IF;
    SELECT below.kept + count(*) INTO total
    FROM (
        SELECT item.id
        FROM belfry.audience(
            total.recipient, box.since, greatest(ground_read, below.through), 9223372036854775807, total.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR item.tenant = total.tenant)
            AND CASE WHEN item.id > ground THEN item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > greatest(ground, below.through)
                    AND (c.archived_at < 'infinity' OR c.snoozed_until > now()))
            ELSE item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > ground_read AND c.notification_id <= ground
                    AND c.archived_at = 'infinity' AND (c.snoozed_until IS NULL OR c.snoozed_until <= now()))
            END
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE ground_read = ground AND c.recipient = total.recipient AND c.notification_id > below.through
            AND c.notification_id <= ground
            AND c.archived_at = 'infinity'
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR n.tenant = total.tenant)
            AND (n.recipient = total.recipient OR EXISTS (
                SELECT FROM belfry.stays(total.recipient, box.since, total.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
    ) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.total(text, text, text[]) IS
    'Internal: counts what is in the inbox, read or not, in the snapshot of the calling statement: what belfry.kept tells, '
    'and the rows above; with a tenant or topics all rows.';
--- end ---

REVOKE ALL ON FUNCTION
    belfry.fleeting(text, bigint, bigint), belfry.keep(text, bigint), belfry.keep_marked(text, text, bigint[]),
    belfry.kept(text)
FROM PUBLIC;

INSERT INTO belfry.migration (version, name) VALUES (5, 'tally');
SET LOCAL ROLE NONE;
