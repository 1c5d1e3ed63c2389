CREATE OR REPLACE FUNCTION belfry.reschedule(id bigint, deliver_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM belfry.require_argument(
        reschedule.deliver_at IS NOT NULL, 'deliver_at', 'It is NULL.', 'Give a time; belfry.retract cancels.');
    IF NOT isfinite(reschedule.deliver_at) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006', COLUMN = 'deliver_at',
            MESSAGE = 'deliver_at is no time',
            DETAIL = format('deliver_at is %s.', reschedule.deliver_at),
            HINT = 'Give a time; belfry.retract cancels.';
    END IF;
    UPDATE belfry.scheduled SET deliver_at = reschedule.deliver_at
    WHERE scheduled.number = -greatest(reschedule.id, -9223372036854775807);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION belfry.reschedule(bigint, timestamptz) IS
    'Delivers a scheduled notification, by the negative number that send returned, at another time; at once when that is '
    'past. Returns whether it was still scheduled. BF006 for an infinite time.';
