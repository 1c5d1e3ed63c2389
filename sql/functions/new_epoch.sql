CREATE OR REPLACE FUNCTION belfry.new_epoch(expected text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present text;
    random bytea;
BEGIN
    SELECT settled.epoch INTO present FROM belfry.settled FOR UPDATE;
    IF present <> new_epoch.expected THEN
        RETURN present;
    END IF;
    -- Random, not counted: two copies of one database would count to the same number.
    LOOP
        random := uuid_send(gen_random_uuid());
        SELECT string_agg(
            substr('abcdefghijklmnopqrstuvwxyz0123456789', get_byte(random, place) % 36 + 1, 1), '' ORDER BY place)
        INTO present FROM generate_series(0, 5) AS place;
        EXIT WHEN NOT EXISTS (SELECT FROM belfry.epoch WHERE epoch.token = present);
    END LOOP;
    INSERT INTO belfry.epoch (token, system_identifier, timeline, database)
    SELECT present, known.system_identifier, known.timeline, d.oid
    FROM belfry.identity() AS known, pg_database AS d WHERE d.datname = current_database();
    UPDATE belfry.settled SET
        epoch = present,
        through = least(settled.through, belfry.last_position()),
        pruned = least(settled.pruned, belfry.last_position());
    RETURN present;
END
$$;
COMMENT ON FUNCTION belfry.new_epoch(text) IS
    'Begins a new epoch, so that every cursor from before gets a reset; to be called after a restored snapshot or '
    'backup. With expected it does so only while that is the present one, so that several callers make one. '
    'Returns the present epoch.';
