CREATE OR REPLACE FUNCTION belfry.tidy(recipient text, ids bigint[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM belfry.receipt AS c USING belfry.inbox AS box
    WHERE box.recipient = tidy.recipient AND c.recipient = tidy.recipient AND c.notification_id = ANY (tidy.ids)
        AND c.snoozed_until IS NULL
        AND belfry.implied(c.seen_at, c.notification_id <= box.seen_through)
        AND belfry.implied(c.read_at, c.notification_id <= box.read_through)
        AND belfry.implied(c.archived_at, c.notification_id <= box.archived_through);
END
$$;
COMMENT ON FUNCTION belfry.tidy(text, bigint[]) IS
    'Internal: deletes those of the receipts that say no more than the watermarks.';
