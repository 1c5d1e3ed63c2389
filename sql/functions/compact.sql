CREATE OR REPLACE FUNCTION belfry.compact(recipient text, verb text, turned bigint) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(compact.recipient);
    old CONSTANT bigint := CASE compact.verb
        WHEN 'seen' THEN box.seen_through WHEN 'read' THEN box.read_through WHEN 'archived' THEN box.archived_through
    END;
    settled bigint;
    marks bigint;
    raised bigint;
BEGIN
    IF old IS NULL THEN
        RETURN;
    END IF;
    IF compact.verb = 'read' THEN -- who reads has seen
        PERFORM belfry.compact(compact.recipient, 'seen', compact.turned);
    END IF;
    SELECT count(*) INTO marks FROM belfry.receipt AS c
    WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
        WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity';
    -- Once for every hundred, since it reads all that is above the watermark.
    IF marks <= 500 OR (marks - 1) / 100 = (marks - compact.turned - 1) / 100 THEN
        RETURN;
    END IF;
    settled := belfry.settled_here();
    SELECT max(summed.id) INTO raised FROM (
        SELECT item.id, sum(CASE WHEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
                    WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity'
            ) THEN 1 ELSE -1 END) OVER (ORDER BY item.id) AS balance
        FROM belfry.audience(compact.recipient, box.since, old, settled) AS item
    ) AS summed WHERE summed.balance >= 0;
    IF raised IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO belfry.receipt AS kept (recipient, notification_id, seen_at, read_at, archived_at)
    SELECT compact.recipient, item.id,
        belfry.stamp(compact.verb <> 'seen' AND item.id <= box.seen_through, NULL, item.id <= box.seen_through
            OR compact.verb = 'seen'),
        belfry.stamp(compact.verb <> 'read' AND item.id <= box.read_through, NULL, item.id <= box.read_through
            OR compact.verb = 'read'),
        belfry.stamp(compact.verb <> 'archived' AND item.id <= box.archived_through, NULL,
            item.id <= box.archived_through OR compact.verb = 'archived')
    FROM belfry.audience(compact.recipient, box.since, old, raised) AS item
    WHERE item.id NOT IN (
        SELECT c.notification_id FROM belfry.receipt AS c
        WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
            WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity')
    ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
        seen_at = CASE compact.verb WHEN 'seen' THEN 'infinity' ELSE kept.seen_at END,
        read_at = CASE compact.verb WHEN 'read' THEN 'infinity' ELSE kept.read_at END,
        archived_at = CASE compact.verb WHEN 'archived' THEN 'infinity' ELSE kept.archived_at END;
    PERFORM belfry.raise_watermark(compact.recipient, compact.verb, raised);
    PERFORM belfry.keep(compact.recipient, raised);
END
$$;
COMMENT ON FUNCTION belfry.compact(text, text, bigint) IS
    'Internal: where more than 500 receipts above a watermark say the same (verb seen, read or archived), raises it as '
    'far as at least half of what it passes says so, and gives the others a receipt that says the contrary. So a count '
    'reads about as many rows as it counts. Changes nothing that anybody sees; turned is how many receipts are new.';
