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
