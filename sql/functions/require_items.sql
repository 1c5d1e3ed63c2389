CREATE OR REPLACE FUNCTION belfry.require_items(items jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    item pg_catalog.jsonb;
    place bigint;
    field pg_catalog.text;
    moment pg_catalog.timestamptz;
    made record;
    message pg_catalog.text;
    detail pg_catalog.text;
    hint pg_catalog.text;
    named pg_catalog.text;
BEGIN
    FOR item, place IN
        SELECT each.value, each.ordinality - 1 FROM jsonb_array_elements(require_items.items) WITH ORDINALITY AS each
    LOOP
        FOREACH field IN ARRAY ARRAY['created_at', 'seen_at', 'read_at', 'archived_at', 'expires_at'] LOOP
            moment := item->>field;
            IF NOT isfinite(moment) AND field <> 'expires_at' THEN
                PERFORM belfry.require_argument(
                    false, field, format('It is %s.', moment), 'Give the time that it had, or leave it out.');
            END IF;
        END LOOP;
        IF (item->>'created_at')::timestamptz > clock_timestamp() + interval '1 minute' THEN -- clocks differ
            PERFORM belfry.require_argument(
                false, 'created_at', format('It is %s, which is to come.', item->>'created_at'),
                'Give the time that it had, or leave it out: nothing is pruned before it is old.');
        END IF;
        IF item->>'deliver_at' IS NOT NULL THEN
            PERFORM belfry.require_argument(
                false, 'deliver_at', 'What is imported has been sent.', 'Leave it out; belfry.send takes a deliver_at.');
        END IF;
        field := 'tags'; -- what else is of a type that it might not have
        SELECT * INTO made FROM jsonb_to_record(item) AS given (
            recipient text, topic text, tenant text, kind text, title text, body text, data jsonb, action_url text,
            actions jsonb, actor jsonb, tags text[], severity text, dedupe_key text, group_key text);
        field := NULL;
        PERFORM belfry.require_notification(
            made.recipient, made.topic, coalesce(made.tenant, ''), coalesce(made.kind, ''), coalesce(made.title, ''),
            coalesce(made.body, ''), coalesce(nullif(made.data, 'null'), '{}'), made.action_url,
            coalesce(nullif(made.actions, 'null'), '[]'), nullif(made.actor, 'null'), coalesce(made.tags, '{}'),
            coalesce(made.severity, 'info'), made.dedupe_key, made.group_key);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        named = COLUMN_NAME;
    named := coalesce(nullif(named, ''), field, CASE SQLSTATE WHEN 'BF005' THEN 'recipient' END);
    RAISE EXCEPTION USING
        ERRCODE = SQLSTATE, COLUMN = format('[%s]', place) || coalesce('.' || named, ''),
        MESSAGE = message, DETAIL = detail, HINT = hint;
END
$$;
COMMENT ON FUNCTION belfry.require_items(jsonb) IS
    'Internal: refuses the first item of belfry.import that is none. The error''s column says which, and its field: [3].kind.';
