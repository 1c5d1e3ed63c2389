CREATE OR REPLACE FUNCTION belfry.require_argument(valid boolean, name text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF require_argument.valid IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF010', COLUMN = require_argument.name,
            MESSAGE = format('%s is not valid', require_argument.name),
            DETAIL = require_argument.detail,
            HINT = require_argument.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_argument(boolean, text, text, text) IS
    'Internal: raises BF010 with the name of the argument unless it is valid.';
