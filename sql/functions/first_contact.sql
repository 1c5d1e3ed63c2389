CREATE OR REPLACE FUNCTION belfry.first_contact(recipient text) RETURNS bigint
    LANGUAGE sql VOLATILE
AS $$
SELECT least(
    (SELECT min(notification.id) FROM belfry.notification WHERE notification.recipient = first_contact.recipient),
    (SELECT min(subscription.since) FROM belfry.subscription WHERE subscription.recipient = first_contact.recipient),
    belfry.last_position())
$$;
COMMENT ON FUNCTION belfry.first_contact(text) IS
    'Internal: since which position the topic * concerns a recipient who is not in belfry.inbox: their first direct '
    'notification, their first subscription, or now.';
