CREATE OR REPLACE FUNCTION belfry.mailbox(
    recipient text, OUT since bigint, OUT read_through bigint, OUT seen_through bigint, OUT archived_through bigint,
    OUT kinds text[], OUT ranges int8multirange[]
)
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT inbox.since, inbox.read_through, inbox.seen_through, inbox.archived_through
    INTO since, read_through, seen_through, archived_through
    FROM belfry.inbox WHERE inbox.recipient = mailbox.recipient;
    IF NOT FOUND THEN
        since := belfry.first_contact(mailbox.recipient);
        read_through := 0;
        seen_through := 0;
        archived_through := 0;
    END IF;
    SELECT mutes.kinds, mutes.ranges INTO kinds, ranges FROM belfry.mutes(mailbox.recipient);
END
$$;
COMMENT ON FUNCTION belfry.mailbox(text) IS
    'Internal: what is needed to tell what stands in a recipient''s inbox: first contact, watermarks and mutes. Writes '
    'nothing: who has no row yet gets what it would say.';
