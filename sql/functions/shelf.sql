CREATE OR REPLACE FUNCTION belfry.shelf(
    reader text, seen_through bigint, read_through bigint, archived_through bigint,
    muted_kinds text[], muted_ranges int8multirange[],
    state text, kinds text[], tags text[], tenant text
) RETURNS TABLE (id bigint, recipient text, topic text, group_key text)
    LANGUAGE sql STABLE
AS $$
SELECT n.id, n.recipient, n.topic, n.group_key
FROM belfry.notification AS n
LEFT JOIN LATERAL (
    SELECT * FROM belfry.receipt WHERE receipt.recipient = shelf.reader AND receipt.notification_id = n.id
    OFFSET 0 -- one by one, and never all receipts of the reader
) AS c ON true
WHERE belfry.alive(n.ended_at, n.expires_at)
    AND NOT belfry.muted(n.id, n.kind, shelf.muted_kinds, shelf.muted_ranges)
    AND (shelf.tenant IS NULL OR n.tenant = shelf.tenant)
    AND (shelf.kinds IS NULL OR n.kind = ANY (shelf.kinds))
    AND (shelf.tags IS NULL OR n.tags && shelf.tags)
    AND belfry.fits(
        shelf.state,
        coalesce(c.seen_at < 'infinity', n.id <= shelf.seen_through),
        coalesce(c.read_at < 'infinity', n.id <= shelf.read_through),
        coalesce(c.archived_at < 'infinity', n.id <= shelf.archived_through),
        c.snoozed_until)
$$;
COMMENT ON FUNCTION belfry.shelf(
    text, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text
) IS
    'Internal: all notifications that would be in that list of the reader if they were sent to them, which the caller '
    'must see to. Postgres writes it into the query (inlines it).';
