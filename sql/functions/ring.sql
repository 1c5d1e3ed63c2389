CREATE OR REPLACE FUNCTION belfry.ring() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('belfry', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION belfry.ring() IS
    'Internal: rings the doorbell. Its triggers call it only when a relay that sleeps holds the bell.';
