CREATE OR REPLACE FUNCTION belfry.fits(
    state text, seen boolean, read boolean, archived boolean, snoozed_until timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
SELECT CASE fits.state
    WHEN 'archived' THEN fits.archived
    WHEN 'snoozed' THEN NOT fits.archived AND fits.snoozed_until > now()
    ELSE NOT fits.archived AND (fits.snoozed_until IS NULL OR fits.snoozed_until <= now()) AND CASE fits.state
        WHEN 'unread' THEN NOT fits.read WHEN 'read' THEN fits.read
        WHEN 'unseen' THEN NOT fits.seen WHEN 'seen' THEN fits.seen
        ELSE true END
END
$$;
COMMENT ON FUNCTION belfry.fits(text, boolean, boolean, boolean, timestamptz) IS
    'Internal: whether a notification with that state is in the list of that name: all, unread, read, unseen, seen, '
    'archived or snoozed. Postgres writes it into the query (inlines it).';
