CREATE OR REPLACE FUNCTION belfry.snooze(
    recipient text, ids bigint[], until timestamptz, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM belfry.require_argument(
        snooze.until > now() AND isfinite(snooze.until), 'until',
        format('It is %s.', coalesce(to_json(snooze.until)::text, 'NULL')),
        'Give a time in the future, such as now() + interval ''1 hour''.');
    RETURN belfry.mark(snooze.recipient, 'snoozed', snooze.ids, snooze.until, snooze.tenant, snooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.snooze(text, bigint[], timestamptz, text, text[]) IS
    'Takes notifications of the recipient out of list and counts until a time in the future, when they return unread '
    'and unseen (belfry.deliver_due brings them back live). Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
