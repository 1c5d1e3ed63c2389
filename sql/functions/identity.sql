CREATE OR REPLACE FUNCTION belfry.identity(OUT system_identifier bigint, OUT timeline text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT control.system_identifier INTO identity.system_identifier FROM pg_control_system() AS control;
    identity.timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION
    -- Some hosted Postgres keep these functions back: the pair is then unknown, and belfry.new_epoch() remains.
    WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
        identity.system_identifier := NULL;
        identity.timeline := NULL;
END
$$;
COMMENT ON FUNCTION belfry.identity() IS
    'Internal: the system identifier and the timeline of this server; both NULL where it does not tell.';
