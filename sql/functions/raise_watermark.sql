CREATE OR REPLACE FUNCTION belfry.raise_watermark(recipient text, verb text, through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    box belfry.inbox;
BEGIN
    UPDATE belfry.inbox SET
        seen_through = CASE raise_watermark.verb WHEN 'seen' THEN greatest(inbox.seen_through, raise_watermark.through)
            ELSE inbox.seen_through END,
        read_through = CASE raise_watermark.verb WHEN 'read' THEN greatest(inbox.read_through, raise_watermark.through)
            ELSE inbox.read_through END,
        archived_through = CASE raise_watermark.verb
            WHEN 'archived' THEN greatest(inbox.archived_through, raise_watermark.through)
            ELSE inbox.archived_through END
    WHERE inbox.recipient = raise_watermark.recipient
    RETURNING inbox.* INTO box;
    DELETE FROM belfry.receipt AS c
    WHERE c.recipient = raise_watermark.recipient AND c.notification_id <= raise_watermark.through
        AND c.snoozed_until IS NULL
        AND belfry.implied(c.seen_at, c.notification_id <= box.seen_through)
        AND belfry.implied(c.read_at, c.notification_id <= box.read_through)
        AND belfry.implied(c.archived_at, c.notification_id <= box.archived_through);
END
$$;
COMMENT ON FUNCTION belfry.raise_watermark(text, text, bigint) IS
    'Internal: raises the watermark of a verb, and deletes the receipts at or below it that say no more than the '
    'watermarks. What the watermark would say wrongly has its receipt already.';
