CREATE OR REPLACE FUNCTION belfry.mark_seen(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(mark_seen.recipient, 'seen', mark_seen.ids, NULL, mark_seen.tenant, mark_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_seen(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as seen, which leaves them unread. Returns how many changed; ids that are '
    'unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
