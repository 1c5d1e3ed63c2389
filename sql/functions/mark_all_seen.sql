CREATE OR REPLACE FUNCTION belfry.mark_all_seen(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_seen.recipient, 'seen', mark_all_seen.through, mark_all_seen.tenant, mark_all_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_seen(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as seen, at or below the id through, or all of it. What commits '
    'later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
