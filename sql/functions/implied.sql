CREATE OR REPLACE FUNCTION belfry.implied(stamp timestamptz, covered boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE
AS $$
SELECT implied.stamp IS NULL OR (implied.stamp < 'infinity') = implied.covered
$$;
COMMENT ON FUNCTION belfry.implied(timestamptz, boolean) IS
    'Internal: whether what a receipt says is what the watermark says without it, which covers it or not. Postgres writes '
    'it into the query (inlines it).';
