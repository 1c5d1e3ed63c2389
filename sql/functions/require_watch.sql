CREATE OR REPLACE FUNCTION belfry.require_watch(valid boolean, argument text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF require_watch.valid IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF013', COLUMN = require_watch.argument,
            MESSAGE = format('this cannot be watched: %s is not valid', require_watch.argument),
            DETAIL = require_watch.detail,
            HINT = require_watch.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_watch(boolean, text, text, text) IS
    'Internal: raises BF013 with the name of the argument of watch unless it is valid.';
