CREATE OR REPLACE FUNCTION belfry.last_position() RETURNS bigint
    LANGUAGE sql VOLATILE
AS $$
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM belfry.position
$$;
COMMENT ON FUNCTION belfry.last_position() IS
    'The highest id that was ever taken from belfry.position, committed or not; 0 when none was.';
