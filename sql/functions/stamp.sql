CREATE OR REPLACE FUNCTION belfry.stamp(so boolean, was timestamptz, covered boolean) RETURNS timestamptz
    LANGUAGE sql STABLE
AS $$
SELECT CASE
    WHEN NOT stamp.so THEN CASE WHEN stamp.covered THEN 'infinity'::timestamptz END
    WHEN stamp.was < 'infinity' THEN stamp.was
    WHEN stamp.was IS NULL AND stamp.covered THEN '-infinity'
    ELSE now()
END
$$;
COMMENT ON FUNCTION belfry.stamp(boolean, timestamptz, boolean) IS
    'Internal: what a receipt must say, so that it is so or not: in seen_at, read_at or archived_at, where there was what '
    'was, and covered by the watermark or not. Postgres writes it into the query (inlines it).';
