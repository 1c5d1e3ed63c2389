CREATE OR REPLACE FUNCTION belfry.mark_read(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(mark_read.recipient, 'read', mark_read.ids, NULL, mark_read.tenant, mark_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_read(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as read, and so as seen. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
