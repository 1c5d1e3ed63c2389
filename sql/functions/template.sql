CREATE OR REPLACE FUNCTION belfry.template(
    source regclass, template text, records text[], argument text, encode boolean DEFAULT false
) RETURNS text
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    token pg_catalog.text;
    named pg_catalog.text[];
    parts pg_catalog.text[] := '{}';
    first boolean := true;
BEGIN
    FOR token IN SELECT m[1] FROM regexp_matches(template.template, E'(\\{\\{|\\}\\}|\\{[^{}]+\\}|[^{}]+|.)', 'g') AS m LOOP
        IF token ~ E'^\\{[^{}]+\\}$' THEN
            named := regexp_match(token, E'^\\{(?:(old|new)\\.)?(.+)\\}$');
            named[1] := coalesce(named[1], template.records[1]);
            PERFORM belfry.require_watch(
                named[1] = ANY (template.records) AND EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = template.source AND a.attname = named[2] AND a.attnum > 0 AND NOT a.attisdropped),
                template.argument, format('%s is no column that %s has here.', token, template.source),
                'Name a column in braces, as {id}, {old.id} or {new.id}; write {{ and }} for braces themselves.');
            -- What begins with a column is a whole URL; else a value is one segment or argument of it.
            parts := parts || format(
                CASE WHEN template.encode AND NOT first AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = template.source AND a.attname = named[2]
                        AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype))
                THEN 'belfry.encoded(%I.%I::text)' ELSE '%I.%I' END,
                named[1], named[2]);
        ELSE
            PERFORM belfry.require_watch(
                token NOT IN ('{', '}'), template.argument, format('%s stands alone.', token),
                'Name a column in braces, as {id}; write {{ and }} for braces themselves.');
            parts := parts || quote_literal(CASE token WHEN '{{' THEN '{' WHEN '}}' THEN '}' ELSE token END);
        END IF;
        first := false;
    END LOOP;
    RETURN CASE WHEN template.template IS NULL THEN 'NULL::text' WHEN parts = '{}' THEN quote_literal('')
        ELSE format('concat(%s)', array_to_string(parts, ', ')) END;
END
$$;
COMMENT ON FUNCTION belfry.template(regclass, text, text[], text, boolean) IS
    'Internal: the expression that a template with {columns} of a source stands for; values stay values. Raises BF013.';
