CREATE OR REPLACE FUNCTION belfry.encoded(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
    IF encoded.value ~ '^[A-Za-z0-9_~-]*$' THEN
        RETURN encoded.value;
    END IF;
    -- A segment of dots alone would climb.
    RETURN (
        SELECT coalesce(string_agg(
            CASE WHEN c ~ '^[A-Za-z0-9_.~-]$' THEN c
                ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', E'%\\1', 'g') END,
            '' ORDER BY n), '')
        FROM regexp_split_to_table(encoded.value, '') WITH ORDINALITY AS s (c, n)
        WHERE encoded.value !~ E'^\\.+$');
END
$$;
COMMENT ON FUNCTION belfry.encoded(text) IS
    'Internal: a value as one segment or argument of a URL, percent-encoded; nothing for one of dots alone.';
