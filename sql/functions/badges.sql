CREATE OR REPLACE FUNCTION belfry.badges(
    scopes jsonb, head bigint DEFAULT NULL, los bigint[] DEFAULT '{}', his bigint[] DEFAULT '{}'
) RETURNS TABLE (place integer, unread bigint, unseen bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gaps CONSTANT int8multirange := (
        SELECT range_agg(int8range(gap.lo, gap.hi, '[]')) FROM unnest(badges.los, badges.his) AS gap (lo, hi));
BEGIN
    RETURN QUERY
    SELECT scope.place::integer, counted.unread, counted.unseen
    FROM jsonb_array_elements(badges.scopes) WITH ORDINALITY AS scope (asked, place)
    CROSS JOIN LATERAL belfry.tally(
        scope.asked->>'recipient', scope.asked->>'tenant',
        CASE WHEN jsonb_typeof(scope.asked->'topics') = 'array'
            THEN ARRAY(SELECT jsonb_array_elements_text(scope.asked->'topics')) END,
        badges.head, gaps) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.badges(jsonb, bigint, bigint[], bigint[]) IS
    'For relays: the counts of many scopes [{"recipient", "tenant", "topics"}] in one snapshot, place being that in the '
    'array, from 1. Only notifications with an id at or below head and in none of the ranges count, so that counts can '
    'belong to a cursor. Writes nothing.';
