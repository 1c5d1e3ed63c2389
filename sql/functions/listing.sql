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
