CREATE OR REPLACE FUNCTION belfry.require_watched(source regclass) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    present record;
BEGIN
    SELECT c.relkind, c.relowner, n.nspname INTO present
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = require_watched.source;
    PERFORM belfry.require_watch(
        present.relkind IN ('r', 'p') AND present.nspname NOT IN ('belfry', 'pg_catalog', 'information_schema'),
        'source', CASE WHEN present.relkind IS NULL THEN 'There is none.'
            ELSE format('%s is no table of an application.', require_watched.source) END,
        'Give a table, not a view, a foreign table or one of Belfry itself.');
    PERFORM belfry.require_watch(
        pg_has_role(present.relowner, 'USAGE'), 'source',
        format('%s belongs to %s.', require_watched.source, present.relowner::regrole),
        'Only who owns a table may watch it: SET ROLE to its owner, who needs belfry_sender.');
END
$$;
COMMENT ON FUNCTION belfry.require_watched(regclass) IS
    'Internal: raises BF013 unless it is an application''s table that the caller owns.';
