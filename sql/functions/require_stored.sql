CREATE OR REPLACE FUNCTION belfry.require_stored(source regclass, named text) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    virtual pg_catalog.name;
BEGIN
    -- From PostgreSQL 18 on. Any mention will do: to refuse one too many is a nuisance, to send NULLs a fault.
    SELECT a.attname INTO virtual FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = require_stored.source AND a.attgenerated = 'v'
        AND require_stored.named ~* format(E'\\m%s\\M', regexp_replace(a.attname, E'\\W', E'\\\\\\&', 'g'));
    PERFORM belfry.require_watch(
        virtual IS NULL, 'source', format('Its column %s is generated and virtual: a trigger sees NULL.', virtual),
        'Make the column STORED, or write its expression in its place.');
END
$$;
COMMENT ON FUNCTION belfry.require_stored(regclass, text) IS
    'Internal: raises BF013 where the text names a column of the table that is generated and virtual.';
