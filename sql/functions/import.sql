CREATE OR REPLACE FUNCTION belfry.import(items jsonb) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint[];
    reader text;
BEGIN
    PERFORM belfry.require_argument(
        jsonb_typeof(import.items) = 'array' AND jsonb_array_length(import.items) <= 10000
            AND NOT EXISTS (SELECT FROM jsonb_array_elements(
                CASE jsonb_typeof(import.items) WHEN 'array' THEN import.items ELSE '[]' END) AS item
                WHERE jsonb_typeof(item) <> 'object'),
        'items', 'It is no JSON array of at most 10000 objects.',
        'Give [{"recipient", "kind", "title", "created_at", "read_at", …}, …], more than that in several calls.');
    BEGIN
        PERFORM belfry.require_argument(
            NOT EXISTS (
                SELECT FROM jsonb_to_recordset(import.items) AS item (
                    created_at timestamptz, seen_at timestamptz, read_at timestamptz, archived_at timestamptz, deliver_at text)
                WHERE item.deliver_at IS NOT NULL OR item.created_at > clock_timestamp() + interval '1 minute'
                    OR NOT (isfinite(item.created_at) AND isfinite(item.seen_at)
                    AND isfinite(item.read_at) AND isfinite(item.archived_at))),
            'items', 'An item has an infinite time, a created_at to come, or a deliver_at.',
            'Give the times that it had, and leave out what is not known; belfry.send takes a deliver_at.');
        -- Everybody's inbox first, in one order for all callers; then the ids.
        FOR reader IN
            SELECT DISTINCT item->>'recipient' COLLATE "C" FROM jsonb_array_elements(import.items) AS item
            WHERE item->>'recipient' IS NOT NULL ORDER BY 1
        LOOP
            PERFORM belfry.enter(reader);
        END LOOP;
        WITH sent AS (
            INSERT INTO belfry.notification (
                recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
                group_key, expires_at, created_at, silent)
            SELECT item.recipient, item.topic, coalesce(item.kind, ''), coalesce(item.title, ''), coalesce(item.body, ''),
                coalesce(nullif(item.data, 'null'), '{}'), item.action_url, coalesce(nullif(item.actions, 'null'), '[]'),
                nullif(item.actor, 'null'), coalesce(item.tags, '{}'), coalesce(item.severity, 'info'),
                coalesce(item.tenant, ''), item.dedupe_key, item.group_key, item.expires_at, coalesce(item.created_at, now()), true
            FROM ROWS FROM (jsonb_to_recordset(import.items) AS (
                recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, actions jsonb,
                actor jsonb, tags text[], severity text, tenant text, dedupe_key text, group_key text,
                expires_at timestamptz, created_at timestamptz)) WITH ORDINALITY AS item (
                recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
                group_key, expires_at, created_at, place)
            ORDER BY item.place
            RETURNING notification.id
        )
        SELECT coalesce(array_agg(sent.id ORDER BY sent.id), '{}') INTO taken FROM sent;
        UPDATE belfry.notification AS n SET ended_at = now() WHERE n.id = ANY (taken) AND n.expires_at <= now();
        INSERT INTO belfry.receipt (recipient, notification_id, seen_at, read_at, archived_at)
        SELECT item.recipient, taken[item.place::integer], coalesce(item.seen_at, item.read_at), item.read_at, item.archived_at
        FROM ROWS FROM (jsonb_to_recordset(import.items) AS (
            recipient text, seen_at timestamptz, read_at timestamptz, archived_at timestamptz))
            WITH ORDINALITY AS item (recipient, seen_at, read_at, archived_at, place)
        WHERE item.recipient IS NOT NULL AND num_nonnulls(item.seen_at, item.read_at, item.archived_at) > 0;
        PERFORM belfry.note(arrived.recipient, 'delivered', arrived.ids, NULL)
        FROM (
            SELECT n.recipient, array_agg(n.id ORDER BY n.id) AS ids FROM belfry.notification AS n
            WHERE n.id = ANY (taken) AND n.recipient IS NOT NULL AND n.ended_at IS NULL
            GROUP BY n.recipient ORDER BY n.recipient COLLATE "C") AS arrived;
        INSERT INTO belfry.change (topic, tenant, verb, ids)
        SELECT n.topic, n.tenant, 'delivered', ARRAY[n.id] FROM belfry.notification AS n
        WHERE n.id = ANY (taken) AND n.topic IS NOT NULL AND n.ended_at IS NULL ORDER BY n.id;
    EXCEPTION WHEN data_exception OR SQLSTATE 'BF000' THEN -- the class of ours
        PERFORM belfry.require_items(import.items); -- says which
        RAISE;
    END;
    RETURN QUERY SELECT unnest(taken);
END
$$;
COMMENT ON FUNCTION belfry.import(jsonb) IS
    'Takes over notifications from elsewhere with their times and states, all or none: at most 10000 objects with the '
    'fields of belfry.send but deliver_at, with created_at, and for a recipient seen_at, read_at, archived_at. Silent: no stream shows '
    'them as new; a change "delivered" lets badges follow. Returns the ids in order.';
