CREATE OR REPLACE FUNCTION belfry.unsnooze(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(unsnooze.recipient, 'unsnoozed', unsnooze.ids, NULL, unsnooze.tenant, unsnooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.unsnooze(text, bigint[], text, text[]) IS
    'Ends the snooze of notifications of the recipient now, as if it were due: they return unread and unseen. Returns '
    'how many changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics '
    'narrow.';
