CREATE OR REPLACE FUNCTION belfry.mark_all_read(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_read.recipient, 'read', mark_all_read.through, mark_all_read.tenant, mark_all_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_read(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as read, and so as seen, at or below the id through, or all of '
    'it. What commits later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
