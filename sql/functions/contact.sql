CREATE OR REPLACE FUNCTION belfry.contact(recipients text[]) RETURNS TABLE (recipient text, since bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    -- In one order for all callers, so that two relays wait for each other and never in a circle.
    INSERT INTO belfry.inbox (recipient, since)
    SELECT wanted.recipient, belfry.first_contact(wanted.recipient)
    FROM (SELECT DISTINCT named.recipient FROM unnest(contact.recipients) AS named (recipient)) AS wanted
    WHERE NOT EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = wanted.recipient)
    ORDER BY wanted.recipient COLLATE "C"
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    SELECT inbox.recipient, inbox.since FROM belfry.inbox WHERE inbox.recipient = ANY (contact.recipients);
END
$$;
COMMENT ON FUNCTION belfry.contact(text[]) IS
    'For relays: records the first contact of those who have none yet (their first direct notification, their first '
    'subscription, or now) and returns it for all: a row of the topic * is theirs when its id is above since. '
    'Senders never write belfry.inbox, so that no two of them wait for each other there.';
