CREATE OR REPLACE FUNCTION belfry.enter_watch(declared jsonb, matching text, columns text, keyed boolean, path text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
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
EXCEPTION WHEN OTHERS THEN
    BEGIN
        PERFORM belfry.note_failure(%s, SQLSTATE, SQLERRM);
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'Belfry: watch %s failed and could not record it: %%', SQLSTATE;
    END;
    RETURN NULL;$guard$, taken, taken);
    END IF;
    -- The rights of whoever writes to the table, never these: the caller's expressions stand in the text.
    EXECUTE format($function$CREATE FUNCTION belfry.%I() RETURNS trigger LANGUAGE plpgsql
        SET search_path = %s SET enable_nestloop = off AS %L$function$, 'watch_' || taken, names, format($body$
#variable_conflict use_column
DECLARE
    few jsonb;
BEGIN
    -- Few are read once; of very many only enough to know. An insert of nothing would ring the bell.
    few := (SELECT jsonb_agg(to_jsonb(m)) FROM (SELECT %2$s FROM %1$s LIMIT 1001) AS m);
    IF jsonb_array_length(few) > 1000 THEN
        INSERT INTO belfry.notification (%5$s) SELECT %2$s FROM %1$s%4$s;
    ELSIF few IS NOT NULL THEN
        INSERT INTO belfry.notification (%5$s) SELECT m.* FROM jsonb_to_recordset(few) AS m (%6$s)%4$s;
    END IF;
    RETURN NULL;%3$s
END
$body$, enter_watch.matching, enter_watch.columns, guard,
        CASE WHEN enter_watch.keyed THEN ' ON CONFLICT DO NOTHING' ELSE '' END,
        'recipient, topic, kind, title, body, data, action_url, severity, tenant, dedupe_key, group_key',
        'recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, severity text, '
        'tenant text, dedupe_key text, group_key text'));
    EXECUTE format('REVOKE ALL ON FUNCTION belfry.%I() FROM PUBLIC', 'watch_' || taken);
    EXECUTE format('GRANT EXECUTE ON FUNCTION belfry.%I() TO belfry_sender', 'watch_' || taken);
    EXECUTE format('COMMENT ON FUNCTION belfry.%I() IS %L', 'watch_' || taken,
        'Made by belfry.watch: ' || (enter_watch.declared ->> 'name'));
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.enter_watch(jsonb, text, text, boolean, text) IS
    'Internal: records what watch has checked and makes its trigger function, which runs with the rights of its caller. '
    'Alone it does nothing: only the owner of a table can put a trigger on it.';
