CREATE OR REPLACE FUNCTION belfry.muted(id bigint, kind text, kinds text[], ranges int8multirange[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
AS $$
SELECT muted.kinds IS NOT NULL
    AND coalesce(muted.id <@ coalesce(muted.ranges[array_position(muted.kinds, muted.kind)], muted.ranges[1]), false)
$$;
COMMENT ON FUNCTION belfry.muted(bigint, text, text[], int8multirange[]) IS
    'Internal: whether the notification with that id and kind is muted, by what belfry.mailbox tells. Postgres writes '
    'it into the query (inlines it).';
