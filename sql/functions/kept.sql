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
