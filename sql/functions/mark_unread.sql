CREATE OR REPLACE FUNCTION belfry.mark_unread(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(mark_unread.recipient, 'unread', mark_unread.ids, NULL, mark_unread.tenant, mark_unread.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_unread(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as unread. Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
