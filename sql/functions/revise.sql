CREATE OR REPLACE FUNCTION belfry.revise(
    id bigint,
    title text DEFAULT NULL,
    body text DEFAULT NULL,
    data jsonb DEFAULT NULL,
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT NULL,
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT NULL,
    severity text DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF revise.id < 0 THEN
        UPDATE belfry.scheduled AS s SET
            title = coalesce(revise.title, s.title), body = coalesce(revise.body, s.body),
            data = coalesce(revise.data, s.data), action_url = coalesce(revise.action_url, s.action_url),
            actions = coalesce(revise.actions, s.actions), actor = coalesce(revise.actor, s.actor),
            tags = coalesce(revise.tags, s.tags), severity = coalesce(revise.severity, s.severity),
            expires_at = coalesce(revise.expires_at, s.expires_at)
        WHERE s.number = -greatest(revise.id, -9223372036854775807);
        RETURN FOUND;
    END IF;
    UPDATE belfry.notification AS n SET
        title = coalesce(revise.title, n.title), body = coalesce(revise.body, n.body),
        data = coalesce(revise.data, n.data), action_url = coalesce(revise.action_url, n.action_url),
        actions = coalesce(revise.actions, n.actions), actor = coalesce(revise.actor, n.actor),
        tags = coalesce(revise.tags, n.tags), severity = coalesce(revise.severity, n.severity),
        expires_at = coalesce(revise.expires_at, n.expires_at), revised_at = now()
    WHERE n.id = revise.id AND belfry.alive(n.ended_at, n.expires_at)
        AND (n.title, n.body, n.data, n.action_url, n.actions, n.actor, n.tags, n.severity, n.expires_at)
            IS DISTINCT FROM (
                coalesce(revise.title, n.title), coalesce(revise.body, n.body), coalesce(revise.data, n.data),
                coalesce(revise.action_url, n.action_url), coalesce(revise.actions, n.actions),
                coalesce(revise.actor, n.actor), coalesce(revise.tags, n.tags), coalesce(revise.severity, n.severity),
                coalesce(revise.expires_at, n.expires_at));
    IF NOT FOUND THEN -- or it says so already, and nobody needs to be told
        RETURN EXISTS (
            SELECT FROM belfry.notification AS n
            WHERE n.id = revise.id AND belfry.alive(n.ended_at, n.expires_at));
    END IF;
    INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
    SELECT n.recipient, n.topic, n.tenant, 'revised', ARRAY[n.id] FROM belfry.notification AS n WHERE n.id = revise.id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.revise(bigint, text, text, jsonb, text, jsonb, jsonb, text[], text, timestamptz) IS
    'Changes the content of what was sent, live in every inbox, or of a scheduled notification by the negative number '
    'that send returned; NULL leaves a field as it is. Who has read it has still read it. Returns whether there was one '
    'that has not ended. Limits as in belfry.send.';
