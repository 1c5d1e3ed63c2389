CREATE OR REPLACE FUNCTION belfry.deliver_due(max_rows integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM belfry.require_argument(
        deliver_due.max_rows >= 1, 'max_rows', format('It is %s.', coalesce(deliver_due.max_rows::text, 'NULL')),
        'Give 1 or more, or leave it out for 1000.');
    RETURN belfry.deliver_scheduled(deliver_due.max_rows) + belfry.end_snoozes(deliver_due.max_rows)
        + belfry.end_expired(deliver_due.max_rows);
END
$$;
COMMENT ON FUNCTION belfry.deliver_due(integer) IS
    'Does what is due: scheduled notifications are sent with an id of this moment, snoozes end, expired notifications '
    'leave. At most max_rows of each; returns how many in all. Relays call it every second; without a relay call it from '
    'cron. Several callers at once do each thing once, and wait for nobody.';
