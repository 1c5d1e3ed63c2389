CREATE OR REPLACE FUNCTION belfry.export(recipient text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM belfry.require_recipient(export.recipient);
    RETURN (
        SELECT jsonb_build_object(
            'recipient', export.recipient,
            'exported_at', now(),
            'first_contact', (SELECT i.created_at FROM belfry.inbox AS i WHERE i.recipient = export.recipient),
            'traits', (SELECT t.traits FROM belfry.traits AS t WHERE t.recipient = export.recipient),
            'preferences', coalesce((
                SELECT jsonb_agg(jsonb_build_object('kind', p.kind, 'enabled', p.enabled, 'current', p.until IS NULL)
                    ORDER BY p.kind, p.since)
                FROM belfry.preference AS p WHERE p.recipient = export.recipient), '[]'),
            'subscriptions', coalesce((
                SELECT jsonb_agg(jsonb_build_object('topic', s.topic, 'since', s.since, 'until', s.until)
                    ORDER BY s.since)
                FROM belfry.subscription AS s WHERE s.recipient = export.recipient), '[]'),
            'notifications', coalesce((
                SELECT jsonb_agg(to_jsonb(n) - 'silent' ORDER BY n.id)
                FROM belfry.notification AS n WHERE n.recipient = export.recipient), '[]'),
            'scheduled', coalesce((
                SELECT jsonb_agg(to_jsonb(d) ORDER BY d.number)
                FROM belfry.scheduled AS d WHERE d.recipient = export.recipient), '[]'),
            'receipts', coalesce((
                SELECT jsonb_agg(to_jsonb(c) - 'recipient' ORDER BY c.notification_id)
                FROM belfry.receipt AS c WHERE c.recipient = export.recipient), '[]'),
            'watermarks', (
                SELECT jsonb_build_object(
                    'read', i.read_through, 'seen', i.seen_through, 'archived', i.archived_through)
                FROM belfry.inbox AS i WHERE i.recipient = export.recipient),
            'changes', coalesce((
                SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(g) - 'recipient') ORDER BY g.id)
                FROM belfry.change AS g WHERE g.recipient = export.recipient), '[]')));
END
$$;
COMMENT ON FUNCTION belfry.export(text) IS
    'All that is stored of a recipient, as one JSON object: first_contact, traits, preferences, subscriptions, '
    'notifications that were sent to them directly, scheduled ones, receipts and watermarks (what they did with them and '
    'with those of topics), changes.';
