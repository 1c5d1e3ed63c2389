-- Watch: changes of an application's own tables become notifications; the status counts watches that fail.
-- Locks: the view belfry.status, for an instant; a replaced function locks no table.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

CREATE TABLE belfry.watch (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    source regclass NOT NULL,
    event text NOT NULL,
    recipient text,
    topic text,
    kind text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    condition text,
    action_url text,
    data text,
    severity text NOT NULL,
    tenant text NOT NULL,
    dedupe_key text,
    group_key text,
    strict boolean NOT NULL,
    declared_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE belfry.watch IS
    'What is sent when a table of the application changes: the arguments of belfry.watch. Each has a trigger and a function, belfry_watch_<number> and belfry.watch_<number>.';
COMMENT ON SEQUENCE belfry.watch_number_seq IS 'Numbers of watches, never given out again.';
COMMENT ON COLUMN belfry.watch.number IS 'Names its trigger, belfry_watch_<number>, and its function.';
COMMENT ON COLUMN belfry.watch.source IS 'The table; a number once it was dropped.';
COMMENT ON COLUMN belfry.watch.event IS 'insert, update or delete.';
COMMENT ON COLUMN belfry.watch.title IS
    'A template with {columns}, as body, topic, action_url, tenant, dedupe_key and group_key are.';
COMMENT ON COLUMN belfry.watch.condition IS 'An SQL expression over new and old, as recipient and data are.';
COMMENT ON COLUMN belfry.watch.data IS 'An SQL expression of the type jsonb.';
COMMENT ON COLUMN belfry.watch.action_url IS 'A template; what begins with a column is a whole URL.';
COMMENT ON COLUMN belfry.watch.dedupe_key IS 'A template.';
COMMENT ON COLUMN belfry.watch.group_key IS 'A template.';
COMMENT ON COLUMN belfry.watch.body IS 'A template.';
COMMENT ON COLUMN belfry.watch.tenant IS 'A template.';
COMMENT ON COLUMN belfry.watch.severity IS 'info, success, warning or error.';
COMMENT ON COLUMN belfry.watch.kind IS 'What all of its notifications are.';
COMMENT ON COLUMN belfry.watch.name IS 'By which belfry.unwatch finds it.';
COMMENT ON COLUMN belfry.watch.declared_by IS 'The role that declared it.';
COMMENT ON COLUMN belfry.watch.strict IS 'What fails in it fails the statement that wrote.';

CREATE TABLE belfry.watch_failure (
    watch bigint NOT NULL REFERENCES belfry.watch ON DELETE CASCADE,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (watch, failed_at)
);
COMMENT ON TABLE belfry.watch_failure IS
    'Watches that failed, at most one a minute each, for a week. Messages without the values that they quoted.';
COMMENT ON COLUMN belfry.watch_failure.watch IS 'The number of the watch.';
COMMENT ON COLUMN belfry.watch_failure.failed_at IS 'The moment itself, not the start of the transaction.';
COMMENT ON COLUMN belfry.watch_failure.state IS 'The SQLSTATE.';
COMMENT ON COLUMN belfry.watch_failure.message IS 'What Postgres said, without values.';

CREATE VIEW belfry.watched AS
SELECT
    w.number, w.name, w.source, w.event, w.recipient, w.topic, w.kind, w.title, w.body, w.condition, w.action_url,
    w.data, w.severity, w.tenant, w.dedupe_key, w.group_key, w.strict, w.declared_by, w.created_at,
    EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
        WHERE t.tgrelid = w.source AND t.tgname = 'belfry_watch_' || w.number AND t.tgenabled IN ('O', 'A')) AS enabled,
    f.failed_at AS last_failed_at,
    f.state AS last_state,
    f.message AS last_message,
    ARRAY(SELECT DISTINCT coalesce(r.rolname, 'PUBLIC') COLLATE "C"
        FROM pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) AS a
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
        WHERE a.privilege_type = upper(w.event) AND (r.oid IS NULL
            OR NOT (has_schema_privilege(r.oid, 'belfry', 'USAGE')
                AND has_column_privilege(r.oid, 'belfry.notification', 'title', 'INSERT')))
        ORDER BY 1) AS unable
FROM belfry.watch AS w
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = w.source
LEFT JOIN LATERAL (
    SELECT l.failed_at, l.state, l.message FROM belfry.watch_failure AS l
    WHERE l.watch = w.number ORDER BY l.failed_at DESC LIMIT 1) AS f ON true
WHERE c.oid IS NULL OR pg_has_role(c.relowner, 'USAGE') OR pg_has_role('belfry_owner', 'USAGE')
    OR pg_has_role('belfry_relay', 'USAGE');
COMMENT ON VIEW belfry.watched IS
    'The watches of tables that the reader owns; all for belfry_owner and belfry_relay. How to declare one: belfry.watch.';
COMMENT ON COLUMN belfry.watched.enabled IS 'Its trigger is there and not disabled; not so when the table was dropped.';
COMMENT ON COLUMN belfry.watched.last_failed_at IS 'When it last failed, within a week, to the minute; NULL when it did not.';
COMMENT ON COLUMN belfry.watched.unable IS
    'Roles that may write to the table so and may not send: what they write is recorded as a failure. Grant them belfry_sender.';

CREATE OR REPLACE VIEW belfry.status AS
SELECT
    (SELECT p.last_value FROM belfry.position AS p) AS position,
    s.through AS settled,
    s.pruned,
    s.epoch,
    (SELECT m.value FROM belfry.setting AS m WHERE m.name = 'wake_mode') AS wake_mode,
    (SELECT max(m.version) FROM belfry.migration AS m) AS migration,
    (SELECT c.reltuples::bigint FROM pg_catalog.pg_class AS c WHERE c.oid = 'belfry.notification'::regclass)
        AS notifications_estimate,
    (SELECT n.created_at FROM belfry.notification AS n WHERE n.id > s.pruned ORDER BY n.id LIMIT 1) AS oldest,
    (SELECT n.created_at FROM belfry.notification AS n ORDER BY n.id DESC LIMIT 1) AS newest,
    (SELECT count(*) FROM belfry.scheduled AS d WHERE d.deliver_at <= now()) AS due,
    (SELECT min(d.deliver_at) FROM belfry.scheduled AS d) AS next_due,
    (SELECT count(DISTINCT l.virtualtransaction) FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.granted
            AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
            AND l.relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)) AS open_writers,
    EXISTS (SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.classid = 1111837766 AND l.objid = 1 AND l.objsubid = 2
            AND l.mode = 'ExclusiveLock' AND l.granted
            AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()))
        AS bell_armed,
    pg_catalog.pg_notification_queue_usage() AS notify_queue_usage,
    (SELECT count(DISTINCT f.watch) FROM belfry.watch_failure AS f WHERE f.failed_at > now() - interval '1 hour')
        AS failing_watches
FROM belfry.settled AS s;
COMMENT ON COLUMN belfry.status.failing_watches IS 'Watches that failed within the last hour: see belfry.watched.';

--- functions/encoded.sql ---
CREATE OR REPLACE FUNCTION belfry.encoded(value text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
AS $$
BEGIN
    IF encoded.value ~ '^[A-Za-z0-9_~-]*$' THEN
        RETURN encoded.value;
    END IF;
    -- A segment of dots alone would climb.
    RETURN (
        SELECT coalesce(string_agg(
            CASE WHEN c ~ '^[A-Za-z0-9_.~-]$' THEN c
                ELSE regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END,
            '' ORDER BY n), '')
        FROM regexp_split_to_table(encoded.value, '') WITH ORDINALITY AS s (c, n)
        WHERE encoded.value !~ '^\.+$');
END
$$;
COMMENT ON FUNCTION belfry.encoded(text) IS
    'Internal: a value as one segment or argument of a URL, percent-encoded; nothing for one of dots alone.';
--- end ---

--- functions/enter_watch.sql ---
CREATE OR REPLACE FUNCTION belfry.enter_watch(declared jsonb, matching text, columns text, keyed boolean, path text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    taken bigint;
    guard text := '';
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
        SET search_path = %s SET enable_nestloop = off AS %L$function$, 'watch_' || taken, enter_watch.path, format($body$
#variable_conflict use_column
BEGIN
    -- An insert of nothing would ring the bell.
    IF EXISTS (SELECT FROM %1$s) THEN
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, severity, tenant, dedupe_key, group_key)
        SELECT %2$s FROM %1$s%4$s;
    END IF;
    RETURN NULL;%3$s
END
$body$, enter_watch.matching, enter_watch.columns, guard,
        CASE WHEN enter_watch.keyed THEN ' ON CONFLICT DO NOTHING' ELSE '' END));
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
--- end ---

--- functions/fault.sql ---
CREATE OR REPLACE FUNCTION belfry.fault(query text) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    tried refcursor;
BEGIN
    -- A cursor takes one query and reads nothing here.
    OPEN tried FOR EXECUTE fault.query;
    CLOSE tried;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION belfry.fault(text) IS
    'Internal: what is wrong with a query that reads, or NULL. It is planned with the rights of the caller, not run.';
--- end ---

--- functions/forget_watch.sql ---
CREATE OR REPLACE FUNCTION belfry.forget_watch(number bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    -- Refused while a trigger uses it, which only the owner of the table can drop.
    EXECUTE format('DROP FUNCTION IF EXISTS belfry.%I()', 'watch_' || forget_watch.number);
    DELETE FROM belfry.watch AS w WHERE w.number = forget_watch.number;
END
$$;
COMMENT ON FUNCTION belfry.forget_watch(bigint) IS
    'Internal: removes a watch whose trigger is gone, with its failures. Raises 2BP01 while the trigger is there.';
--- end ---

--- functions/note_failure.sql ---
CREATE OR REPLACE FUNCTION belfry.note_failure(watch bigint, state text, message text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    -- Once a minute, as a row of its own: a counter would make the writers of a failing watch wait for each other.
    IF EXISTS (
        SELECT FROM belfry.watch_failure AS f
        WHERE f.watch = note_failure.watch AND f.failed_at > clock_timestamp() - interval '1 minute'
    ) THEN
        RETURN;
    END IF;
    DELETE FROM belfry.watch_failure AS f USING (
        SELECT o.watch, o.failed_at FROM belfry.watch_failure AS o
        WHERE o.watch = note_failure.watch AND o.failed_at < clock_timestamp() - interval '7 days'
        ORDER BY o.failed_at LIMIT 100 FOR UPDATE SKIP LOCKED) AS old
    WHERE f.watch = old.watch AND f.failed_at = old.failed_at;
    -- Messages quote values: only those about names are kept as they are.
    INSERT INTO belfry.watch_failure (watch, state, message)
    SELECT w.number, note_failure.state, CASE
        WHEN note_failure.state LIKE '42%' THEN left(note_failure.message, 1000)
        WHEN note_failure.state LIKE 'P0%' THEN 'raised by a function that the watch calls'
        ELSE left(regexp_replace(note_failure.message, '".*"', '"…"'), 1000) END
    FROM belfry.watch AS w WHERE w.number = note_failure.watch
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION belfry.note_failure(bigint, text, text) IS
    'Internal: records that a watch failed, at most once a minute, without the values that the message quotes, for a week.';
--- end ---

--- functions/require_expression.sql ---
CREATE OR REPLACE FUNCTION belfry.require_expression(expression text, tables text, type text, argument text) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    found text;
BEGIN
    IF require_expression.expression IS NULL THEN
        RETURN;
    END IF;
    -- In parentheses and in brackets: what closes one of them does not close the other. WHERE takes no aggregates.
    found := belfry.fault(format(
        CASE require_expression.type
            WHEN 'boolean' THEN 'SELECT 1 FROM %1$s WHERE ARRAY[%2$s' || E'\n' || '] IS NOT NULL AND (%2$s' || E'\n)'
            ELSE 'SELECT 1 FROM %1$s WHERE ARRAY[%2$s' || E'\n' || '] IS NOT NULL AND (%2$s' || E'\n)::%3$s IS NOT NULL'
        END, require_expression.tables, require_expression.expression, require_expression.type));
    PERFORM belfry.require_watch(
        found IS NULL, require_expression.argument, found,
        format('Give one SQL expression of the type %s, over the rows new and old: old.status <> new.status.',
            require_expression.type));
END
$$;
COMMENT ON FUNCTION belfry.require_expression(text, text, text, text) IS
    'Internal: raises BF013 unless the text is one expression of the type over these tables, for the caller.';
--- end ---

--- functions/require_watch.sql ---
CREATE OR REPLACE FUNCTION belfry.require_watch(valid boolean, argument text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF require_watch.valid IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF013', COLUMN = require_watch.argument,
            MESSAGE = format('this cannot be watched: %s is not valid', require_watch.argument),
            DETAIL = require_watch.detail,
            HINT = require_watch.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_watch(boolean, text, text, text) IS
    'Internal: raises BF013 with the name of the argument of watch unless it is valid.';
--- end ---

--- functions/require_watched.sql ---
CREATE OR REPLACE FUNCTION belfry.require_watched(source regclass) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    present record;
BEGIN
    SELECT c.relkind, c.relowner, n.nspname INTO present
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = require_watched.source;
    PERFORM belfry.require_watch(
        present.relkind IN ('r', 'p') AND present.nspname NOT IN ('belfry', 'pg_catalog', 'information_schema'),
        'source', CASE WHEN present.relkind IS NULL THEN 'There is none.'
            ELSE format('%s is no table of an application.', require_watched.source) END,
        'Give a table, not a view, a foreign table or one of Belfry itself.');
    PERFORM belfry.require_watch(
        pg_has_role(present.relowner, 'USAGE'), 'source',
        format('%s belongs to %s.', require_watched.source, present.relowner::regrole),
        'Only who owns a table may watch it: SET ROLE to its owner, who needs belfry_sender.');
END
$$;
COMMENT ON FUNCTION belfry.require_watched(regclass) IS
    'Internal: raises BF013 unless it is an application''s table that the caller owns.';
--- end ---

--- functions/template.sql ---
CREATE OR REPLACE FUNCTION belfry.template(
    source regclass, template text, records text[], argument text, encode boolean DEFAULT false
) RETURNS text
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    token text;
    named text[];
    parts text[] := '{}';
    first boolean := true;
BEGIN
    FOR token IN SELECT m[1] FROM regexp_matches(template.template, '(\{\{|\}\}|\{[^{}]+\}|[^{}]+|.)', 'g') AS m LOOP
        IF token ~ '^\{[^{}]+\}$' THEN
            named := regexp_match(token, '^\{(?:(old|new)\.)?(.+)\}$');
            named[1] := coalesce(named[1], template.records[1]);
            PERFORM belfry.require_watch(
                named[1] = ANY (template.records) AND EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = template.source AND a.attname = named[2] AND a.attnum > 0 AND NOT a.attisdropped),
                template.argument, format('%s is no column that %s has here.', token, template.source),
                'Name a column in braces, as {id}, {old.id} or {new.id}; write {{ and }} for braces themselves.');
            -- What begins with a column is a whole URL; else a value is one segment or argument of it.
            parts := parts || format(
                CASE WHEN template.encode AND NOT first AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = template.source AND a.attname = named[2]
                        AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype))
                THEN 'belfry.encoded(%I.%I::text)' ELSE '%I.%I' END,
                named[1], named[2]);
        ELSE
            PERFORM belfry.require_watch(
                token NOT IN ('{', '}'), template.argument, format('%s stands alone.', token),
                'Name a column in braces, as {id}; write {{ and }} for braces themselves.');
            parts := parts || quote_literal(CASE token WHEN '{{' THEN '{' WHEN '}}' THEN '}' ELSE token END);
        END IF;
        first := false;
    END LOOP;
    RETURN CASE WHEN template.template IS NULL THEN 'NULL::text' WHEN parts = '{}' THEN quote_literal('')
        ELSE format('concat(%s)', array_to_string(parts, ', ')) END;
END
$$;
COMMENT ON FUNCTION belfry.template(regclass, text, text[], text, boolean) IS
    'Internal: the expression that a template with {columns} of a source stands for; values stay values. Raises BF013.';
--- end ---

--- functions/unwatch.sql ---
CREATE OR REPLACE FUNCTION belfry.unwatch(name text) RETURNS boolean
    LANGUAGE plpgsql SET lock_timeout = '2s'
AS $$
DECLARE
    present belfry.watched;
BEGIN
    SELECT * INTO present FROM belfry.watched AS w WHERE w.name = unwatch.name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF pg_has_role(current_user, 'belfry_owner', 'USAGE') THEN
        EXECUTE format('DROP FUNCTION IF EXISTS belfry.%I() CASCADE', 'watch_' || present.number);
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = present.source) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', 'belfry_watch_' || present.number, present.source);
    END IF;
    PERFORM belfry.forget_watch(present.number);
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.unwatch(text) IS
    'Removes a watch, its trigger and its failures; what it has sent stays. Returns whether there was one that the '
    'caller may remove: the owner of the table, or belfry_owner. Locks the table for an instant, and gives up after 2 s.';
--- end ---

--- functions/watch.sql ---
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
    records text[];
    whom text := watch.recipient;
    shown text;
    tables text;
    matching text;
    columns text;
    taken bigint;
BEGIN
    PERFORM belfry.require_watched(watch.source);
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
        char_length(watch.name) BETWEEN 1 AND 255 AND name !~ '[\u0001-\u001F\u007F-\u009F]', 'name',
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
    matching := format('%%s WHERE (%s' || E'\n)', coalesce(condition, 'true'))
        || CASE WHEN whom IS NULL THEN '' ELSE format(' AND (%s' || E'\n) IS NOT NULL', whom) END;
    shown := belfry.watched_rows(source, records[1], max_rows);
    -- What needs no old rows is spared the pairs.
    tables := belfry.watched_rows(source, records[1], 0);
    IF cardinality(records) = 2 AND belfry.fault(format('SELECT %s FROM ', columns) || replace(matching, '%s', tables))
        IS NOT NULL THEN
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
            'FROM (SELECT %s FROM ', name, columns) || replace(matching, '%s', shown) || ') AS m';
        RETURN;
    END IF;
    taken := belfry.enter_watch(
        jsonb_build_object(
            'name', name, 'source', source::oid::text, 'event', event, 'recipient', recipient, 'topic', topic,
            'kind', kind, 'title', coalesce(title, ''), 'body', coalesce(body, ''), 'condition', condition,
            'action_url', action_url, 'data', data, 'severity', severity, 'tenant', coalesce(tenant, ''),
            'dedupe_key', dedupe_key, 'group_key', group_key, 'strict', strict, 'declared_by', current_user),
        replace(matching, '%s', CASE
            WHEN cardinality(records) = 1 THEN format('belfry_%s AS %1$s', records[1])
            WHEN concat_ws(' ', whom, condition, data) ~ '\m(old|new)\M(?!"?\s*\.)' THEN
                '(SELECT row_number() OVER () AS "belfry n", r AS "belfry r" FROM belfry_old AS r) AS "belfry o" '
                'JOIN (SELECT row_number() OVER () AS "belfry n", r AS "belfry r" FROM belfry_new AS r) AS "belfry p" '
                'USING ("belfry n"), '
                'LATERAL (SELECT ("belfry o"."belfry r").*) AS old, LATERAL (SELECT ("belfry p"."belfry r").*) AS new'
            -- A whole row would show its number; where none may be named, the pairs come cheaper so.
            ELSE
                '(SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_old AS r) AS old '
                'JOIN (SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_new AS r) AS new USING ("belfry n")'
        END),
        columns, dedupe_key IS NOT NULL,
        (SELECT string_agg(quote_ident(s), ', ') FROM unnest(current_schemas(false) || '{pg_temp}'::name[]) AS s));
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
    'needs belfry_sender. What fails is recorded (belfry.watched) and sends nothing of that statement, unless strict: '
    'then the statement fails. dry_run declares nothing and shows what the max_rows newest rows would send, an update '
    'as if each old row had been NULLs. Only the owner of the table may; it is locked for an instant. Raises BF013, '
    'which names the argument, BF003 and BF002.';
--- end ---

--- functions/watched_rows.sql ---
CREATE OR REPLACE FUNCTION belfry.watched_rows(source regclass, record text, max_rows integer) RETURNS text
    LANGUAGE sql STABLE
AS $$
SELECT format('(SELECT * FROM %s AS s%s LIMIT %s) AS %I',
    watched_rows.source,
    ' ORDER BY ' || (
        SELECT string_agg(format('s.%I DESC', a.attname), ', ' ORDER BY array_position(i.indkey::int2[], a.attnum))
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = watched_rows.source AND i.indisprimary),
    watched_rows.max_rows,
    watched_rows.record)
$$;
COMMENT ON FUNCTION belfry.watched_rows(regclass, text, integer) IS
    'Internal: the newest rows of a table by its primary key, where it has one, as text of a query.';
--- end ---

--- grants.sql ---
-- Nothing is granted that is not named here: everything is taken back first.
REVOKE ALL ON SCHEMA belfry FROM PUBLIC, belfry_sender, belfry_relay, belfry_monitor;
REVOKE ALL ON ALL TABLES IN SCHEMA belfry FROM PUBLIC, belfry_sender, belfry_relay, belfry_monitor;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA belfry FROM PUBLIC, belfry_sender, belfry_relay, belfry_monitor;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA belfry FROM PUBLIC, belfry_sender, belfry_relay, belfry_monitor;

GRANT USAGE ON SCHEMA belfry TO belfry_sender, belfry_relay, belfry_monitor;

-- A sender may add notifications, by function or plain INSERT, and learn their ids; it reads nothing.
-- Neither id nor created_at can be given. The internal functions are here because send and the table's CHECK call
-- them as the caller.
GRANT INSERT (
    recipient, topic, tenant, kind, title, body, data, action_url, actions, actor, tags, severity, dedupe_key,
    group_key, expires_at
), SELECT (id) ON belfry.notification TO belfry_sender;
GRANT EXECUTE ON FUNCTION
    belfry.send, belfry.send_many, belfry.publish, belfry.broadcast, belfry.subscribe, belfry.unsubscribe,
    belfry.settle(), belfry.deposit, belfry.require_notification, belfry.require_recipient, belfry.require_topic
TO belfry_sender;
-- The inbox of any recipient, for the backend that knows who is asking.
GRANT EXECUTE ON FUNCTION
    belfry.counts, belfry.list_inbox, belfry.mark_read, belfry.mark_unread, belfry.mark_seen, belfry.archive,
    belfry.unarchive, belfry.mark_all_read, belfry.mark_all_seen, belfry.archive_all, belfry.snooze, belfry.unsnooze,
    belfry.set_preference, belfry.preferences
TO belfry_sender;
-- What a backend says of what it has sent, and of people.
GRANT EXECUTE ON FUNCTION
    belfry.revise, belfry.retract, belfry.declare_kind, belfry.set_traits, belfry.define_segment(text, jsonb),
    belfry.define_segment(text, text), belfry.drop_segment, belfry.import, belfry.unread_since, belfry.trace,
    belfry.deliver_due, belfry.erase, belfry.export
TO belfry_sender;
-- Who owns a table may have it watched: these run with the caller's rights, but for enter_watch, forget_watch and
-- note_failure, which touch nothing that a trigger of another's table uses.
GRANT EXECUTE ON FUNCTION
    belfry.watch, belfry.unwatch, belfry.require_watch, belfry.require_watched, belfry.require_expression,
    belfry.require_argument, belfry.require_kind, belfry.template, belfry.watched_rows, belfry.fault, belfry.encoded,
    belfry.enter_watch, belfry.forget_watch, belfry.note_failure
TO belfry_sender;
GRANT SELECT ON belfry.watched TO belfry_sender;

-- A relay reads everything and writes only first contacts, what is settled, and epochs, by function.
-- It is a member of belfry_sender too, for POST /v1/notifications.
GRANT SELECT ON ALL TABLES IN SCHEMA belfry TO belfry_relay;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_relay;
GRANT EXECUTE ON FUNCTION
    belfry.contact, belfry.badges, belfry.settle(bigint, text), belfry.ensure_epoch, belfry.new_epoch,
    belfry.last_position, belfry.forget_idempotency, belfry.prune
TO belfry_relay;
-- The answers of POST /v1/notifications to requests that may come again.
GRANT INSERT (api_key, key, digest), UPDATE (answer) ON belfry.idempotency TO belfry_relay;

-- A monitor sees how things stand and how much there is, and neither names nor contents.
GRANT SELECT ON belfry.settled, belfry.epoch, belfry.setting, belfry.migration TO belfry_monitor;
GRANT SELECT (id, created_at) ON belfry.notification TO belfry_monitor;
GRANT SELECT (id, verb, created_at) ON belfry.change TO belfry_monitor;
GRANT SELECT (topic, since, until) ON belfry.subscription TO belfry_monitor;
GRANT SELECT (since, created_at) ON belfry.inbox TO belfry_monitor;
GRANT SELECT ON belfry.kind TO belfry_monitor;
GRANT SELECT (number, deliver_at) ON belfry.scheduled TO belfry_monitor;
GRANT SELECT ON SEQUENCE belfry.position, belfry.scheduled_number_seq, belfry.watch_number_seq TO belfry_monitor;
GRANT EXECUTE ON FUNCTION belfry.last_position TO belfry_monitor;
GRANT SELECT ON belfry.status, belfry.activity TO belfry_monitor;
--- end ---

INSERT INTO belfry.migration (version, name) VALUES (7, 'watch');
SET LOCAL ROLE NONE;
