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
