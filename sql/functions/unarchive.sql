CREATE OR REPLACE FUNCTION belfry.unarchive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark(unarchive.recipient, 'unarchived', unarchive.ids, NULL, unarchive.tenant, unarchive.topics);
END
$$;
COMMENT ON FUNCTION belfry.unarchive(text, bigint[], text, text[]) IS
    'Takes notifications of the recipient back out of the archive. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
