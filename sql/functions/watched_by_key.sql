CREATE OR REPLACE FUNCTION belfry.watched_by_key(source regclass, matching text, columns text, deduped boolean, by_place text)
    RETURNS text
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    key record;
BEGIN
    SELECT
        pg_get_constraintdef(k.oid) AS definition,
        string_agg(quote_ident(a.attname), ', ') AS names,
        quote_ident(min(a.attname)) AS first,
        string_agg(format('array_agg(%I) AS %1$I', a.attname), ', ') AS arrays,
        string_agg(format('old.%I OPERATOR(pg_catalog.=) new.%1$I', a.attname), ' AND ') AS same
    INTO key
    FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE k.conrelid = watched_by_key.source AND k.contype = 'p' AND NOT k.condeferrable
    GROUP BY k.oid
    HAVING bool_and(t.typtype = 'b' AND t.typcategory <> 'A' AND t.typnamespace = 'pg_catalog'::regnamespace);
    IF NOT FOUND THEN
        RETURN by_place;
    END IF;
    -- Asked again each time: keys are dropped, and a parent's key says nothing of its children's rows. By two statements:
    -- where a column of the key was renamed, only the first is read. Arrays of more rows would grow large.
    RETURN format($statements$
    IF EXISTS (SELECT FROM belfry_new OFFSET 99)
        AND (SELECT c.relkind = 'p' OR NOT c.relhassubclass FROM pg_catalog.pg_class AS c WHERE c.oid = TG_RELID)
        AND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
            WHERE k.conrelid = TG_RELID AND pg_catalog.pg_get_constraintdef(k.oid) = %1$L)
    THEN
        unmoved := (
            SELECT "belfry o" = "belfry n" AND cardinality("belfry n".%2$s) <= 100000
            FROM (SELECT %3$s FROM (SELECT %4$s FROM belfry_old LIMIT 100001) AS r) AS "belfry o",
                (SELECT %3$s FROM (SELECT %4$s FROM belfry_new LIMIT 100001) AS r) AS "belfry n");
    END IF;
    IF unmoved THEN%5$s
    ELSE%6$s
    END IF;$statements$,
        key.definition, key.first, key.arrays, key.names,
        belfry.watched_statements(
            format('(SELECT * FROM belfry_old) AS old JOIN (SELECT * FROM belfry_new) AS new ON %s', key.same) || matching,
            columns, deduped),
        by_place);
END
$$;
COMMENT ON FUNCTION belfry.watched_by_key(regclass, text, text, boolean, text) IS
    'Internal: statements that pair the rows old and new of an update by the table''s primary key where many have changed '
    'and each has kept its key, which costs half of doing so by their place; else, and without a key, those by place.';
