CREATE OR REPLACE FUNCTION belfry.watched_pairs(source regclass, expressions text) RETURNS text
    LANGUAGE sql STABLE
AS $$
-- The pairs of columns come cheaper, but a whole row of theirs would show its number.
SELECT CASE
    WHEN regexp_replace(
        watched_pairs.expressions, format(E'\\m(old|new)\\.(%s)\\M', string_agg(a.attname, '|')), '', 'gi') ~* E'\\m(old|new)\\M'
    THEN
        -- From a SELECT *: a whole row of a transition table keeps the places of columns that were dropped.
        '(SELECT row_number() OVER () AS "belfry n", "belfry s" AS "belfry r" FROM (SELECT * FROM belfry_old) '
        'AS "belfry s") AS "belfry o" '
        'JOIN (SELECT row_number() OVER () AS "belfry n", "belfry s" AS "belfry r" FROM (SELECT * FROM belfry_new) '
        'AS "belfry s") '
        'AS "belfry p" USING ("belfry n"), '
        'LATERAL (SELECT ("belfry o"."belfry r").*) AS old, LATERAL (SELECT ("belfry p"."belfry r").*) AS new'
    ELSE
        '(SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_old AS r) AS old '
        'JOIN (SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_new AS r) AS new USING ("belfry n")'
    END
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = watched_pairs.source AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~ '^[a-z_][a-z0-9_]*$'
$$;
COMMENT ON FUNCTION belfry.watched_pairs(regclass, text) IS
    'Internal: the rows old and new of an update, each beside the other by its place, as text of a query for '
    'these expressions.';
