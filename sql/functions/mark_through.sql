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
