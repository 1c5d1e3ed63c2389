CREATE OR REPLACE FUNCTION belfry.ensure_epoch() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    here CONSTANT oid := (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    recorded belfry.epoch;
    known record;
BEGIN
    SELECT epoch.* INTO recorded FROM belfry.settled JOIN belfry.epoch ON epoch.token = settled.epoch;
    SELECT * INTO known FROM belfry.identity();
    IF recorded.database IS NULL THEN -- the first relay of this database
        UPDATE belfry.epoch SET database = here WHERE epoch.token = recorded.token;
    ELSIF recorded.database <> here THEN
        RETURN belfry.new_epoch(recorded.token);
    END IF;
    IF known.system_identifier IS NULL
        OR (known.system_identifier, known.timeline) IS NOT DISTINCT FROM
            (recorded.system_identifier, recorded.timeline) THEN
        RETURN recorded.token;
    END IF;
    RETURN belfry.new_epoch(recorded.token);
END
$$;
COMMENT ON FUNCTION belfry.ensure_epoch() IS
    'For relays, on every new connection: begins a new epoch when this server or database is another one than the epoch '
    'was made in (a promoted standby, a restored backup or dump), and returns the present epoch.';
