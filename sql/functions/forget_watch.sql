CREATE OR REPLACE FUNCTION belfry.forget_watch(number bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Refused while a trigger uses it, which only the owner of the table can drop.
    EXECUTE format('DROP FUNCTION IF EXISTS belfry.%I()', 'watch_' || forget_watch.number);
    DELETE FROM belfry.watch AS w WHERE w.number = forget_watch.number;
END
$$;
COMMENT ON FUNCTION belfry.forget_watch(bigint) IS
    'Internal: removes a watch whose trigger is gone, with its failures. Raises 2BP01 while the trigger is there.';
