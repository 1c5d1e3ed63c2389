CREATE OR REPLACE FUNCTION belfry.grouped(
    reader text, since bigint, seen_through bigint, read_through bigint, archived_through bigint,
    muted_kinds text[], muted_ranges int8multirange[],
    state text, kinds text[], tags text[], tenant text, recipient text, topic text, group_key text
) RETURNS TABLE (id bigint)
    LANGUAGE sql STABLE
AS $$
SELECT other.id
FROM belfry.shelf(grouped.reader, grouped.seen_through, grouped.read_through, grouped.archived_through,
    grouped.muted_kinds, grouped.muted_ranges, grouped.state, grouped.kinds, grouped.tags, grouped.tenant) AS other
WHERE grouped.topic IS NULL AND other.recipient = grouped.recipient AND other.group_key = grouped.group_key
UNION ALL
SELECT other.id
FROM belfry.stays(grouped.reader, grouped.since, ARRAY[grouped.topic]) AS stay
CROSS JOIN belfry.shelf(grouped.reader, grouped.seen_through, grouped.read_through, grouped.archived_through,
    grouped.muted_kinds, grouped.muted_ranges, grouped.state, grouped.kinds, grouped.tags, grouped.tenant) AS other
WHERE grouped.topic IS NOT NULL AND other.topic = grouped.topic AND other.group_key = grouped.group_key
    AND other.id > stay.since AND (stay.until IS NULL OR other.id < stay.until)
$$;
COMMENT ON FUNCTION belfry.grouped(
    text, bigint, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text, text, text, text
) IS
    'Internal: what is in that list of the reader with that group_key, sent to them directly (recipient) or by that '
    'topic. Postgres writes it into the query (inlines it).';
