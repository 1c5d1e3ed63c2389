CREATE OR REPLACE FUNCTION belfry.require_expression(expression text, tables text, type text, argument text) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    found pg_catalog.text;
BEGIN
    IF require_expression.expression IS NULL THEN
        RETURN;
    END IF;
    -- In parentheses and in brackets: what closes one of them does not close the other. WHERE takes no aggregates.
    found := belfry.fault(format(
        CASE require_expression.type
            WHEN 'boolean' THEN 'SELECT 1 FROM %1$s WHERE ARRAY[%2$s' || E'\n' || '] IS NOT NULL AND (%2$s' || E'\n)'
            ELSE 'SELECT 1 FROM %1$s WHERE ARRAY[%2$s' || E'\n' || '] IS NOT NULL AND (%2$s' || E'\n)::%3$s IS NOT NULL'
        END, require_expression.tables, require_expression.expression, require_expression.type));
    PERFORM belfry.require_watch(
        found IS NULL, require_expression.argument, found,
        format('Give one SQL expression of the type %s, over the rows new and old: old.status <> new.status.',
            require_expression.type));
END
$$;
COMMENT ON FUNCTION belfry.require_expression(text, text, text, text) IS
    'Internal: raises BF013 unless the text is one expression of the type over these tables, for the caller.';
