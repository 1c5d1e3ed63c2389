CREATE OR REPLACE FUNCTION belfry.archive_all(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark_all(archive_all.recipient, 'archived', archive_all.through, archive_all.tenant, archive_all.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive_all(text, bigint, text, text[]) IS
    'Archives everything in the inbox of the recipient, at or below the id through, or all of it. What commits later '
    'is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
