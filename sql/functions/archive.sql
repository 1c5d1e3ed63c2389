CREATE OR REPLACE FUNCTION belfry.archive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(archive.recipient, 'archived', archive.ids, NULL, archive.tenant, archive.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive(text, bigint[], text, text[]) IS
    'Archives notifications of the recipient: they leave list and counts, and remain read or unread. Returns how many '
    'changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
