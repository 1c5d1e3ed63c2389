-- Brings back what was before 0005_tally.
-- Locks: belfry.notification and inbox exclusively to the end. Takes an instant.
-- No index can be built or dropped CONCURRENTLY in a transaction:
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion, ban-drop-column
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '900ms';
SET LOCAL statement_timeout = '600s';
SET LOCAL ROLE belfry_owner;

-- As on the way up.
LOCK TABLE belfry.inbox, belfry.notification IN ACCESS EXCLUSIVE MODE;

DROP FUNCTION belfry.kept(text);
DROP FUNCTION belfry.keep_marked(text, text, bigint[]);
DROP FUNCTION belfry.keep(text, bigint);
DROP FUNCTION belfry.fleeting(text, bigint, bigint);
--- functions/fleeting.sql ---
--- end ---

--- functions/keep.sql ---
--- end ---

--- functions/keep_marked.sql ---
--- end ---

--- functions/kept.sql ---
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
BEGIN
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
                AND (n.recipient, n.id) <= (listing.reader, least(high, top))
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
    many CONSTANT integer := 2000;
    ground_read bigint := ground;
BEGIN
    IF (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = tally.recipient AND c.notification_id <= ground
                AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            LIMIT many) AS counted
    ) = many THEN
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
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.seen_at < 'infinity')
            ELSE item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.seen_at = 'infinity')
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
        WHERE ground_read = ground AND c.recipient = tally.recipient AND c.notification_id <= ground
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
BEGIN
    IF (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = total.recipient AND c.notification_id <= ground AND c.archived_at = 'infinity'
            LIMIT many) AS counted
    ) = many THEN
        SELECT min(c.notification_id) - 1 INTO ground_read FROM belfry.receipt AS c
        WHERE c.recipient = total.recipient AND c.notification_id <= ground AND c.archived_at = 'infinity';
    END IF;
    SELECT count(*) INTO total
    FROM (
        SELECT item.id
        FROM belfry.audience(total.recipient, box.since, ground_read, 9223372036854775807, total.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR item.tenant = total.tenant)
            AND CASE WHEN item.id > ground THEN item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > ground
                    AND (c.archived_at < 'infinity' OR c.snoozed_until > now()))
            ELSE item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > ground_read AND c.notification_id <= ground
                    AND c.archived_at = 'infinity' AND (c.snoozed_until IS NULL OR c.snoozed_until <= now()))
            END
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE ground_read = ground AND c.recipient = total.recipient AND c.notification_id <= ground
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
    'Internal: counts what is in the inbox, read or not, in the snapshot of the calling statement.';
--- end ---

DROP INDEX belfry.notification_recipient_fleeting_idx, belfry.notification_topic_fleeting_idx;
ALTER TABLE belfry.inbox DROP COLUMN kept, DROP COLUMN kept_through, DROP COLUMN kept_pruned;
DELETE FROM belfry.migration WHERE version = 5;
SET LOCAL ROLE NONE;
