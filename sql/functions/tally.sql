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
    ) AS counted;
    -- What stands out at or below the ground: in statements of their own, because nearly nobody has such.
    IF alone THEN
        SELECT unread + count(*),
            unseen + count(*) FILTER (WHERE NOT coalesce(c.seen_at < 'infinity', c.notification_id <= box.seen_through))
        INTO unread, unseen
        FROM belfry.receipt AS c
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground AND c.notification_id > pruned
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
            AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND (tally.head IS NULL OR c.notification_id <= tally.head)
            AND (tally.gaps IS NULL OR NOT c.notification_id <@ tally.gaps)
            AND c.notification_id NOT IN (
                SELECT gone.id FROM belfry.fleeting(tally.recipient, box.since, ground) AS gone
                WHERE NOT belfry.alive(gone.ended_at, gone.expires_at));
    ELSIF found > 0 AND ground_read = ground THEN
        SELECT unread + count(*),
            unseen + count(*) FILTER (WHERE NOT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through))
        INTO unread, unseen
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground
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
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)));
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.tally(text, text, text[], bigint, int8multirange) IS
    'Internal: counts what is unread, and of that what is unseen, up to the head and outside of the gaps, in the snapshot '
    'of the calling statement. Reads what is above the watermarks, and the receipts that contradict them.';
