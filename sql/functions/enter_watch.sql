CREATE OR REPLACE FUNCTION belfry.enter_watch(declared jsonb, statements text, path text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint;
    guard text := '';
    -- Quoted here: any sender may call this, and the statement below runs as belfry_owner.
    names text := (SELECT string_agg(quote_ident(s), ', ') FROM unnest(enter_watch.path::text[]) AS s);
BEGIN
    INSERT INTO belfry.watch (
        name, source, event, recipient, topic, kind, title, body, condition, action_url, data, severity, tenant,
        dedupe_key, group_key, strict, declared_by)
    SELECT
        d.name, d.source::bigint::oid::regclass, d.event, d.recipient, d.topic, d.kind, d.title, d.body, d.condition,
        d.action_url, d.data, d.severity, d.tenant, d.dedupe_key, d.group_key, d.strict, d.declared_by
    FROM jsonb_to_record(enter_watch.declared) AS d (
        name text, source text, event text, recipient text, topic text, kind text, title text, body text,
        condition text, action_url text, data text, severity text, tenant text, dedupe_key text, group_key text,
        strict boolean, declared_by text)
    ON CONFLICT DO NOTHING
    RETURNING watch.number INTO taken;
    PERFORM belfry.require_watch(
        taken IS NOT NULL, 'name', format('There is a watch %s.', to_json(enter_watch.declared ->> 'name')),
        'Remove it first, with belfry.unwatch, or choose another name.');
    IF NOT (enter_watch.declared ->> 'strict')::boolean THEN
        guard := format($guard$
EXCEPTION WHEN OTHERS OR ASSERT_FAILURE THEN
    BEGIN
        PERFORM belfry.note_failure(%s, SQLSTATE, SQLERRM);
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'Belfry: watch %s failed and could not record it: %%', SQLSTATE;
    END;
    RETURN NULL;$guard$, taken, taken);
    END IF;
    -- A plan with a nested loop that is off counts as dear, and would be compiled at each call.
    -- The rights of whoever writes to the table, never these: the caller's expressions stand in the text.
    EXECUTE format($function$CREATE FUNCTION belfry.%I() RETURNS trigger LANGUAGE plpgsql
        SET search_path = %s SET enable_nestloop = off SET jit = off AS %L$function$, 'watch_' || taken, names, format($body$
#variable_conflict use_column
DECLARE
    few jsonb;
    unmoved boolean := false;
BEGIN%s
    RETURN NULL;%s
END
$body$, enter_watch.statements, guard));
    EXECUTE format('REVOKE ALL ON FUNCTION belfry.%I() FROM PUBLIC', 'watch_' || taken);
    EXECUTE format('GRANT EXECUTE ON FUNCTION belfry.%I() TO belfry_sender', 'watch_' || taken);
    EXECUTE format('COMMENT ON FUNCTION belfry.%I() IS %L', 'watch_' || taken,
        'Made by belfry.watch: ' || (enter_watch.declared ->> 'name'));
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.enter_watch(jsonb, text, text) IS
    'Internal: records what watch has checked and makes its trigger function, which runs with the rights of its caller. '
    'Alone it does nothing: only the owner of a table can put a trigger on it.';
