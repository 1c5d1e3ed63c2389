CREATE OR REPLACE FUNCTION belfry.list_inbox(
    recipient text,
    state text DEFAULT 'all',
    before bigint DEFAULT NULL,
    max_rows integer DEFAULT 20,
    kinds text[] DEFAULT NULL,
    tags text[] DEFAULT NULL,
    tenant text DEFAULT NULL,
    topics text[] DEFAULT NULL
) RETURNS TABLE (
    id bigint, recipient text, topic text, tenant text, kind text, title text, body text, action_url text, actions jsonb,
    data jsonb, actor jsonb, tags text[], severity text, created_at timestamptz, expires_at timestamptz,
    revised_at timestamptz, group_key text, group_count integer, group_ids bigint[], seen boolean, read boolean,
    archived boolean, snoozed_until timestamptz
)
    -- Not PL/pgSQL, for which an argument and a column of one name are too much.
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
SELECT
    belfry.require_argument(
        list_inbox.state IN ('all', 'unread', 'read', 'unseen', 'seen', 'archived', 'snoozed'), 'state',
        format('It is %s.', coalesce(to_json(list_inbox.state)::text, 'NULL')),
        'A state is all, unread, read, unseen, seen, archived or snoozed.'),
    belfry.require_argument(
        list_inbox.max_rows BETWEEN 1 AND 1000, 'max_rows',
        format('It is %s.', coalesce(list_inbox.max_rows::text, 'NULL')),
        'Ask for 1 to 1000 at once, and for the next with before => the last id.'),
    belfry.greet(list_inbox.recipient);
SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url, n.actions, n.data, n.actor, n.tags,
    n.severity, n.created_at, n.expires_at, n.revised_at, n.group_key, listed.group_count, listed.group_ids, listed.seen,
    listed.read, listed.archived, listed.snoozed_until
FROM belfry.listing(
    list_inbox.recipient, list_inbox.state, list_inbox.before, list_inbox.max_rows, list_inbox.kinds, list_inbox.tags,
    list_inbox.tenant, list_inbox.topics) AS listed
CROSS JOIN LATERAL (SELECT * FROM belfry.notification WHERE notification.id = listed.id OFFSET 0) AS n
ORDER BY n.id DESC
$$;
COMMENT ON FUNCTION belfry.list_inbox(text, text, bigint, integer, text[], text[], text, text[]) IS
    'A page of the recipient''s inbox, the newest first: at most max_rows with an id below before. state is all (neither '
    'archived nor snoozed), unread, read, unseen, seen, archived or snoozed. kinds: any of these; tags: any of these; '
    'tenant and topics narrow, where what was sent to the recipient directly is in every topic. Of the notifications with '
    'one group_key that were sent to one recipient or topic the newest stands for all: group_count tells how many there '
    'are, itself included, and group_ids the newest 100 of them. Errors: BF001, BF010.';
