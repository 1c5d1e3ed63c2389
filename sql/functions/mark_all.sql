CREATE OR REPLACE FUNCTION belfry.mark_all(recipient text, verb text, through bigint, tenant text, topics text[])
    RETURNS bigint
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    narrowed CONSTANT boolean := mark_all.tenant IS NOT NULL OR mark_all.topics IS NOT NULL;
    box record;
    old bigint; -- the watermark before
    ceiling bigint; -- how far the watermark may tell it; above, receipts do
    turned bigint;
    above bigint[];
BEGIN
    PERFORM belfry.enter(mark_all.recipient);
    ceiling := CASE WHEN narrowed THEN 0 ELSE least(mark_all.through, belfry.settled_here()) END;
    box := belfry.mailbox(mark_all.recipient);
    old := CASE mark_all.verb
        WHEN 'seen' THEN box.seen_through WHEN 'read' THEN box.read_through ELSE box.archived_through END;
    WITH turning AS (
        SELECT item.id
        FROM belfry.audience(
            mark_all.recipient, box.since, old, coalesce(mark_all.through, 9223372036854775807), mark_all.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (mark_all.tenant IS NULL OR item.tenant = mark_all.tenant)
            AND item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = mark_all.recipient AND c.notification_id > old AND CASE mark_all.verb
                    WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity')
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = mark_all.recipient AND c.notification_id <= least(old, mark_all.through)
            AND CASE mark_all.verb
                WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END = 'infinity'
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (mark_all.tenant IS NULL OR n.tenant = mark_all.tenant)
            AND (n.recipient = mark_all.recipient OR EXISTS (
                SELECT FROM belfry.stays(mark_all.recipient, box.since, mark_all.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
    )
    SELECT count(*), coalesce(array_agg(turning.id ORDER BY turning.id) FILTER (WHERE turning.id > ceiling), '{}')
    INTO turned, above FROM turning;
    PERFORM belfry.mark_each(mark_all.recipient, mark_all.verb, above);
    IF ceiling > 0 THEN
        PERFORM belfry.mark_through(mark_all.recipient, mark_all.verb, ceiling);
    END IF;
    IF turned > 0 THEN
        PERFORM belfry.note(mark_all.recipient, mark_all.verb, above, CASE WHEN NOT narrowed THEN ceiling END);
        PERFORM belfry.compact(mark_all.recipient, mark_all.verb, cardinality(above));
    END IF;
    RETURN turned;
END
$$;
COMMENT ON FUNCTION belfry.mark_all(text, text, bigint, text, text[]) IS
    'Internal: what mark_all_read, mark_all_seen and archive_all do, told by the verb of the change that they write. The '
    'watermark tells it up to what is settled, receipts above; with a tenant or topics receipts alone.';
