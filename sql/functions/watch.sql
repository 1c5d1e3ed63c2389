CREATE OR REPLACE FUNCTION belfry.watch(
    source regclass, event text, recipient text DEFAULT NULL, kind text DEFAULT NULL, title text DEFAULT NULL,
    body text DEFAULT NULL, condition text DEFAULT NULL, action_url text DEFAULT NULL, topic text DEFAULT NULL,
    data text DEFAULT NULL, severity text DEFAULT 'info', tenant text DEFAULT NULL, dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL, strict boolean DEFAULT false, name text DEFAULT NULL, dry_run boolean DEFAULT false,
    max_rows integer DEFAULT 100
) RETURNS TABLE (
    watch text, sent_to text, sent_topic text, sent_kind text, sent_title text, sent_body text, sent_url text,
    sent_data jsonb
)
    LANGUAGE plpgsql SET lock_timeout = '2s'
AS $$
#variable_conflict use_variable
DECLARE
    records pg_catalog.text[];
    whom pg_catalog.text := watch.recipient;
    shown pg_catalog.text;
    tables pg_catalog.text;
    matching pg_catalog.text;
    columns pg_catalog.text;
    statements pg_catalog.text;
    taken bigint;
BEGIN
    PERFORM belfry.require_watched(watch.source);
    PERFORM belfry.require_stored(source, concat_ws(
        ' ', recipient, condition, data, topic, title, body, action_url, tenant, dedupe_key, group_key));
    PERFORM belfry.require_watch(
        watch.event IN ('insert', 'update', 'delete'), 'event', format('It is %s.', coalesce(to_json(event), 'null')),
        'Give insert, update or delete; what two of them shall do is two watches.');
    PERFORM belfry.require_watch(
        num_nonnulls(watch.recipient, watch.topic) = 1, 'recipient',
        CASE WHEN watch.topic IS NULL THEN 'Both recipient and topic are NULL.' ELSE 'Both recipient and topic are given.' END,
        'Give the one as a column or an expression, or the other as a template, such as team:{team_id}.');
    PERFORM belfry.require_kind(watch.kind, false);
    IF watch.topic !~ '[{}]' THEN
        PERFORM belfry.require_topic(watch.topic);
    END IF;
    PERFORM belfry.require_watch(
        watch.severity IN ('info', 'success', 'warning', 'error'), 'severity',
        format('It is %s.', coalesce(to_json(severity), 'null')), 'Give info, success, warning or error.');
    PERFORM belfry.require_watch(watch.strict IS NOT NULL, 'strict', 'It is NULL.', 'Give true or false.');
    PERFORM belfry.require_argument(
        watch.max_rows BETWEEN 1 AND 1000, 'max_rows', format('It is %s.', coalesce(max_rows::text, 'NULL')),
        'Give a number from 1 to 1000.');
    name := coalesce(watch.name, format('%s %s %s', watch.source, watch.event, watch.kind));
    PERFORM belfry.require_watch(
        char_length(watch.name) BETWEEN 1 AND 255 AND name !~ E'[\\u0001-\\u001F\\u007F-\\u009F]', 'name',
        'It is empty, too long, or has control characters.', 'Give 1 to 255 characters.');
    records := CASE watch.event WHEN 'insert' THEN '{new}' WHEN 'delete' THEN '{old}' ELSE '{new,old}' END;
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = watch.source AND a.attname = whom AND a.attnum > 0 AND NOT a.attisdropped) THEN
        whom := format('%I.%I', records[1], whom);
    END IF;
    columns := concat_ws(', ',
        format('(%s' || E'\n)::text AS recipient', coalesce(whom, 'NULL')),
        belfry.template(source, topic, records, 'topic') || ' AS topic',
        quote_literal(kind) || ' AS kind',
        belfry.template(source, coalesce(title, ''), records, 'title') || ' AS title',
        belfry.template(source, coalesce(body, ''), records, 'body') || ' AS body',
        format('coalesce((%s' || E'\n)::jsonb, ''{}'') AS data', coalesce(data, 'NULL')),
        belfry.template(source, action_url, records, 'action_url', true) || ' AS action_url',
        quote_literal(severity) || ' AS severity',
        belfry.template(source, coalesce(tenant, ''), records, 'tenant') || ' AS tenant',
        belfry.template(source, dedupe_key, records, 'dedupe_key') || ' AS dedupe_key',
        belfry.template(source, group_key, records, 'group_key') || ' AS group_key');
    matching := format(' WHERE (%s' || E'\n)', coalesce(condition, 'true'))
        || CASE WHEN whom IS NULL THEN '' ELSE format(' AND (%s' || E'\n) IS NOT NULL', whom) END;
    shown := belfry.watched_rows(source, records[1], max_rows);
    -- What needs no old rows is spared the pairs.
    tables := belfry.watched_rows(source, records[1], 0);
    IF cardinality(records) = 2 AND belfry.fault(concat('SELECT ', columns, ' FROM ', tables, matching)) IS NOT NULL THEN
        tables := tables || format(', LATERAL (SELECT (NULL::%s).*) AS old', source);
        shown := shown || format(', LATERAL (SELECT (NULL::%s).*) AS old', source);
    ELSE
        records := records[1:1];
    END IF;
    PERFORM belfry.require_expression(whom, tables, 'text', 'recipient');
    PERFORM belfry.require_expression(condition, tables, 'boolean', 'condition');
    PERFORM belfry.require_expression(data, tables, 'jsonb', 'data');
    IF dry_run THEN
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, m.recipient, m.topic, m.kind::text, m.title, m.body, m.action_url, m.data '
            'FROM (SELECT %s FROM %s) AS m', name, columns, shown || matching);
        RETURN;
    END IF;
    statements := belfry.watched_statements(
        CASE cardinality(records) WHEN 1 THEN format('belfry_%s AS %1$s', records[1])
            ELSE belfry.watched_pairs(source, concat_ws(' ', whom, condition, data)) END || matching,
        columns, dedupe_key IS NOT NULL);
    IF cardinality(records) = 2 THEN
        statements := belfry.watched_by_key(source, matching, columns, dedupe_key IS NOT NULL, statements);
    END IF;
    taken := belfry.enter_watch(
        jsonb_build_object(
            'name', name, 'source', source::oid::text, 'event', event, 'recipient', recipient, 'topic', topic,
            'kind', kind, 'title', coalesce(title, ''), 'body', coalesce(body, ''), 'condition', condition,
            'action_url', action_url, 'data', data, 'severity', severity, 'tenant', coalesce(tenant, ''),
            'dedupe_key', dedupe_key, 'group_key', group_key, 'strict', strict, 'declared_by', current_user),
        statements,
        (current_schemas(false) || '{pg_temp}'::name[])::text);
    EXECUTE format(
        'CREATE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION belfry.%I()',
        'belfry_watch_' || taken, event, source,
        (SELECT string_agg(format('%s TABLE AS belfry_%1$s', r), ' ') FROM unnest(records) AS r), 'watch_' || taken);
    RETURN QUERY SELECT name, NULL::text, NULL::text, kind, NULL::text, NULL::text, NULL::text, NULL::jsonb;
END
$$;
COMMENT ON FUNCTION belfry.watch(
    regclass, text, text, text, text, text, text, text, text, text, text, text, text, text, boolean, text, boolean, integer
) IS
    'From now on, sends a notification for each row of the table that a statement inserts, updates or deletes and that '
    'meets the condition. recipient is a column or an SQL expression, as condition and data (jsonb) are, over the rows '
    'new and old; a row without a recipient sends nothing. topic, title, body, action_url, tenant, dedupe_key and '
    'group_key are templates with {columns}. It works inside the writer''s transaction with the writer''s rights, who '
    'needs belfry_sender; expressions may be evaluated twice a row. What fails is recorded (belfry.watched) and sends nothing of that statement, unless strict: '
    'then the statement fails. dry_run declares nothing and shows what the max_rows newest rows would send, an update '
    'as if each old row had been NULLs. Only the owner of the table may; it is locked for an instant. Raises BF013, '
    'which names the argument, BF003 and BF002.';
