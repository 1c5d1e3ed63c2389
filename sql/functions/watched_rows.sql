CREATE OR REPLACE FUNCTION belfry.watched_rows(source regclass, record text, max_rows integer) RETURNS text
    LANGUAGE sql STABLE
AS $$
SELECT format('(SELECT * FROM %s AS s%s LIMIT %s) AS %I',
    watched_rows.source,
    ' ORDER BY ' || (
        SELECT string_agg(format('s.%I DESC', a.attname), ', ' ORDER BY array_position(i.indkey::int2[], a.attnum))
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = watched_rows.source AND i.indisprimary),
    watched_rows.max_rows,
    watched_rows.record)
$$;
COMMENT ON FUNCTION belfry.watched_rows(regclass, text, integer) IS
    'Internal: the newest rows of a table by its primary key, where it has one, as text of a query.';
