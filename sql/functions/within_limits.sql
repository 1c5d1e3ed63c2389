CREATE OR REPLACE FUNCTION belfry.within_limits(given belfry.notification) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    -- By its full name: what is declared is looked up once, in the session of a sender, and the owner calls this too.
    names CONSTANT pg_catalog.text := concat(given.recipient, given.topic, given.tenant, given.kind);
BEGIN
    -- Enough for nearly every notification, and with the fewest steps, because every sender pays for each.
    IF num_nulls(given.recipient, given.topic) = 1
        AND coalesce(given.recipient, given.topic) <> ''
        AND names !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]'
        AND given.kind ~ E'^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$'
        AND coalesce(given.group_key, '-') <> ''
        AND given.dedupe_key IS NULL
        AND octet_length(concat(names, given.group_key)) <= 255 -- so none of them has more characters
        AND given.severity IN ('info', 'success', 'warning', 'error')
        AND jsonb_typeof(given.data) = 'object'
        AND (given.actor IS NULL OR jsonb_typeof(given.actor) = 'object')
        AND given.actions = '[]'
        AND cardinality(given.tags) = 0
        AND octet_length(concat(given.title, given.body, given.data, given.action_url, given.actor)) <= 65532
    THEN
        RETURN true;
    END IF;
    -- What has ended may end, whoever let it in: one bad row must not keep the others from their end.
    RETURN given.ended_at IS NOT NULL OR belfry.require_notification(
        given.recipient, given.topic, given.tenant, given.kind, given.title, given.body, given.data, given.action_url,
        given.actions, given.actor, given.tags, given.severity, given.dedupe_key, given.group_key);
END
$$;
COMMENT ON FUNCTION belfry.within_limits(belfry.notification) IS
    'Internal: the CHECK of the table. True, or raises what belfry.require_notification raises. It takes the row as a '
    'whole, because Postgres reads the text of a CHECK anew for each INSERT, and fourteen columns are much text. '
    'A sender''s session may be odd, so no literal depends on its standard_conforming_strings.';
