CREATE OR REPLACE FUNCTION belfry.end_snoozes(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    reader pg_catalog.text;
    due bigint[];
    done integer := 0;
BEGIN
    -- In one order for all callers; a recipient whose state another is changing comes at the next call.
    FOR reader IN
        SELECT DISTINCT oldest.recipient COLLATE "C" FROM (
            SELECT receipt.recipient FROM belfry.receipt WHERE receipt.snoozed_until <= now()
            ORDER BY receipt.snoozed_until LIMIT end_snoozes.max_rows) AS oldest
        ORDER BY 1
    LOOP
        EXIT WHEN done >= end_snoozes.max_rows;
        PERFORM FROM belfry.inbox WHERE inbox.recipient = reader FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        due := ARRAY(
            SELECT receipt.notification_id FROM belfry.receipt
            WHERE receipt.recipient = reader AND receipt.snoozed_until <= now()
            ORDER BY receipt.notification_id LIMIT end_snoozes.max_rows - done);
        PERFORM belfry.mark(reader, 'unsnoozed', due, NULL, NULL, NULL);
        -- What has left the inbox meanwhile returns to nobody.
        UPDATE belfry.receipt SET snoozed_until = NULL
        WHERE receipt.recipient = reader AND receipt.notification_id = ANY (due) AND receipt.snoozed_until IS NOT NULL;
        PERFORM belfry.tidy(reader, due);
        done := done + cardinality(due);
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.end_snoozes(integer) IS
    'Internal: the snoozes of belfry.deliver_due: they return unread and unseen.';
