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
