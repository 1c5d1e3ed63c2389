-- A watch pairs the rows old and new of a bulk UPDATE by the table's primary key, where each row has kept its key: half
-- of what pairing them by their place costs. Watches that are declared already go on as they are; declared anew they
-- are cheaper. A trace tells who was never in contact, and that a recipient may have been erased.
-- Locks: none; a replaced function locks no table. Takes an instant.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

-- It is internal, and its one caller is replaced below.
-- squawk-ignore ban-drop-function
DROP FUNCTION belfry.enter_watch(jsonb, text, text, boolean, text);
--- functions/enter_watch.sql ---
CREATE OR REPLACE FUNCTION belfry.enter_watch(declared jsonb, statements text, path text) RETURNS bigint
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
--- end ---

--- functions/trace.sql ---
CREATE OR REPLACE FUNCTION belfry.trace(
    id bigint, recipient text,
    OUT audience text, OUT sent_at timestamptz, OUT ended_at timestamptz, OUT expires_at timestamptz,
    OUT first_contact bigint, OUT stay_since bigint, OUT stay_until bigint, OUT muted boolean, OUT seen boolean,
    OUT read boolean, OUT archived boolean, OUT snoozed_until timestamptz, OUT settled boolean, OUT verdict text
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    n belfry.notification;
    box record;
BEGIN
    PERFORM belfry.require_argument(
        trace.id IS NOT NULL, 'id', 'It is NULL.', 'Give the id of a notification, as belfry.send returned it.');
    PERFORM belfry.require_recipient(trace.recipient);
    SELECT * INTO n FROM belfry.notification WHERE notification.id = trace.id;
    settled := trace.id <= (SELECT through FROM belfry.settled);
    IF n.id IS NULL THEN
        verdict := CASE
            WHEN EXISTS (
                SELECT FROM belfry.scheduled WHERE scheduled.number = -greatest(trace.id, -9223372036854775807))
                THEN 'It is scheduled and has not been delivered yet.'
            WHEN trace.id BETWEEN (SELECT -last_value FROM belfry.scheduled_number_seq WHERE is_called) AND -1
                THEN 'It was scheduled, and has been delivered with an id of that moment, or cancelled.'
            WHEN trace.id > belfry.last_position() OR trace.id <= 0 THEN 'No notification ever had this id.'
            WHEN trace.id <= (SELECT pruned FROM belfry.settled) THEN 'It may have been there: retention has removed it.'
            WHEN EXISTS (SELECT FROM belfry.change WHERE change.id = trace.id)
                THEN 'There is none: this is the position of a change.'
            WHEN settled THEN 'There is none: the transaction that took this id was rolled back, or its recipient was erased.'
            ELSE 'There is none yet: the transaction that took this id is open, or was rolled back.'
        END;
        RETURN;
    END IF;
    box := belfry.mailbox(trace.recipient);
    audience := CASE WHEN n.recipient IS NULL THEN 'topic ' || n.topic ELSE 'recipient ' || n.recipient END;
    sent_at := n.created_at;
    ended_at := n.ended_at;
    expires_at := n.expires_at;
    first_contact := CASE
        WHEN EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = trace.recipient)
            OR EXISTS (SELECT FROM belfry.notification WHERE notification.recipient = trace.recipient)
            OR EXISTS (SELECT FROM belfry.subscription WHERE subscription.recipient = trace.recipient)
            THEN box.since
    END;
    SELECT stay.since, stay.until INTO stay_since, stay_until FROM belfry.stays(trace.recipient, box.since) AS stay
    WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until);
    muted := belfry.muted(n.id, n.kind, box.kinds, box.ranges);
    SELECT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through),
        coalesce(c.read_at < 'infinity', n.id <= box.read_through),
        coalesce(c.archived_at < 'infinity', n.id <= box.archived_through), c.snoozed_until
    INTO seen, read, archived, snoozed_until
    FROM (SELECT) AS one LEFT JOIN belfry.receipt AS c ON c.recipient = trace.recipient AND c.notification_id = n.id;
    verdict := CASE
        WHEN n.recipient <> trace.recipient THEN 'It was sent to another recipient.'
        WHEN n.topic = '*' AND stay_since IS NULL THEN 'It was sent to everyone before the first contact with them.'
        WHEN n.topic IS NOT NULL AND stay_since IS NULL THEN 'They were not subscribed to the topic when it was sent.'
        WHEN n.ended_at IS NOT NULL AND n.expires_at <= n.ended_at THEN 'It has expired.'
        WHEN n.ended_at IS NOT NULL THEN 'It was retracted.'
        WHEN n.expires_at <= now() THEN 'It has expired.'
        WHEN muted THEN 'They had muted its kind when it was sent, or it is off unless chosen.'
        WHEN archived THEN 'They have it, and have archived it.'
        WHEN snoozed_until > now() THEN 'They have it, and have snoozed it.'
        WHEN read THEN 'They have it, and have read it.'
        WHEN seen THEN 'They have it, and have seen it.'
        WHEN n.silent THEN 'They have it, unseen; it was imported, so no stream has shown it as new.'
        ELSE 'They have it, and have not seen it: no page of theirs has shown it yet.'
    END;
END
$$;
COMMENT ON FUNCTION belfry.trace(bigint, text) IS
    'Why a recipient did or did not get a notification: its audience, their stay at that position, first contact (NULL: '
    'never), preference, state, and a sentence. settled: nothing at or below its id can still commit.';
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
    statements text;
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
--- end ---

--- functions/watched_by_key.sql ---
CREATE OR REPLACE FUNCTION belfry.watched_by_key(source regclass, matching text, columns text, deduped boolean, by_place text)
    RETURNS text
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    key record;
BEGIN
    SELECT
        pg_get_constraintdef(k.oid) AS definition,
        string_agg(quote_ident(a.attname), ', ') AS names,
        quote_ident(min(a.attname)) AS first,
        string_agg(format('array_agg(%I) AS %1$I', a.attname), ', ') AS arrays,
        string_agg(format('old.%I OPERATOR(pg_catalog.=) new.%1$I', a.attname), ' AND ') AS same
    INTO key
    FROM pg_catalog.pg_constraint AS k
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    WHERE k.conrelid = watched_by_key.source AND k.contype = 'p' AND NOT k.condeferrable
    GROUP BY k.oid
    HAVING bool_and(t.typtype = 'b' AND t.typcategory <> 'A' AND t.typnamespace = 'pg_catalog'::regnamespace);
    IF NOT FOUND THEN
        RETURN by_place;
    END IF;
    -- Asked again each time: keys are dropped, and a parent's key says nothing of its children's rows. By two statements:
    -- where a column of the key was renamed, only the first is read. Arrays of more rows would grow large.
    RETURN format($statements$
    IF EXISTS (SELECT FROM belfry_new OFFSET 99)
        AND (SELECT c.relkind = 'p' OR NOT c.relhassubclass FROM pg_catalog.pg_class AS c WHERE c.oid = TG_RELID)
        AND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
            WHERE k.conrelid = TG_RELID AND pg_catalog.pg_get_constraintdef(k.oid) = %1$L)
    THEN
        unmoved := (
            SELECT "belfry o" = "belfry n" AND cardinality("belfry n".%2$s) <= 100000
            FROM (SELECT %3$s FROM (SELECT %4$s FROM belfry_old LIMIT 100001) AS r) AS "belfry o",
                (SELECT %3$s FROM (SELECT %4$s FROM belfry_new LIMIT 100001) AS r) AS "belfry n");
    END IF;
    IF unmoved THEN%5$s
    ELSE%6$s
    END IF;$statements$,
        key.definition, key.first, key.arrays, key.names,
        belfry.watched_statements(
            format('(SELECT * FROM belfry_old) AS old JOIN (SELECT * FROM belfry_new) AS new ON %s', key.same) || matching,
            columns, deduped),
        by_place);
END
$$;
COMMENT ON FUNCTION belfry.watched_by_key(regclass, text, text, boolean, text) IS
    'Internal: statements that pair the rows old and new of an update by the table''s primary key where many have changed '
    'and each has kept its key, which costs half of doing so by their place; else, and without a key, those by place.';
--- end ---

--- functions/watched_pairs.sql ---
CREATE OR REPLACE FUNCTION belfry.watched_pairs(source regclass, expressions text) RETURNS text
    LANGUAGE sql STABLE
AS $$
-- The pairs of columns come cheaper, but a whole row of theirs would show its number.
SELECT CASE
    WHEN regexp_replace(
        watched_pairs.expressions, format('\m(old|new)\.(%s)\M', string_agg(a.attname, '|')), '', 'gi') ~* '\m(old|new)\M'
    THEN
        -- From a SELECT *: a whole row of a transition table keeps the places of columns that were dropped.
        '(SELECT row_number() OVER () AS "belfry n", r AS "belfry r" FROM (SELECT * FROM belfry_old) AS r) AS "belfry o" '
        'JOIN (SELECT row_number() OVER () AS "belfry n", r AS "belfry r" FROM (SELECT * FROM belfry_new) AS r) '
        'AS "belfry p" USING ("belfry n"), '
        'LATERAL (SELECT ("belfry o"."belfry r").*) AS old, LATERAL (SELECT ("belfry p"."belfry r").*) AS new'
    ELSE
        '(SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_old AS r) AS old '
        'JOIN (SELECT row_number() OVER () AS "belfry n", r.* FROM belfry_new AS r) AS new USING ("belfry n")'
    END
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = watched_pairs.source AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~ '^[a-z_][a-z0-9_]*$'
$$;
COMMENT ON FUNCTION belfry.watched_pairs(regclass, text) IS
    'Internal: the rows old and new of an update, each beside the other by its place, as text of a query for '
    'these expressions.';
--- end ---

--- functions/watched_statements.sql ---
CREATE OR REPLACE FUNCTION belfry.watched_statements(matching text, columns text, deduped boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
AS $$
-- Few are read once; of very many only enough to know. An insert of nothing would ring the bell.
SELECT format('
        few := (SELECT jsonb_agg(to_jsonb(m)) FROM (SELECT %2$s FROM %1$s LIMIT 1001) AS m);
        IF jsonb_array_length(few) > 1000 THEN
            INSERT INTO belfry.notification (%3$s) SELECT %2$s FROM %1$s%5$s;
        ELSIF few IS NOT NULL THEN
            INSERT INTO belfry.notification (%3$s) SELECT m.* FROM jsonb_to_recordset(few) AS m (%4$s)%5$s;
        END IF;',
    watched_statements.matching, watched_statements.columns,
    'recipient, topic, kind, title, body, data, action_url, severity, tenant, dedupe_key, group_key',
    'recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, severity text, '
    'tenant text, dedupe_key text, group_key text',
    CASE WHEN watched_statements.deduped THEN ' ON CONFLICT DO NOTHING' ELSE '' END)
$$;
COMMENT ON FUNCTION belfry.watched_statements(text, text, boolean) IS
    'Internal: the statements by which the trigger of a watch sends what matches.';
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
    belfry.revise, belfry.reschedule, belfry.retract, belfry.declare_kind, belfry.set_traits, belfry.define_segment(text, jsonb),
    belfry.define_segment(text, text), belfry.drop_segment, belfry.import, belfry.unread_since, belfry.trace,
    belfry.deliver_due, belfry.erase, belfry.export
TO belfry_sender;
-- Who owns a table may have it watched: these run with the caller's rights, but for enter_watch, forget_watch and
-- note_failure, which touch nothing that a trigger of another's table uses.
GRANT EXECUTE ON FUNCTION
    belfry.watch, belfry.unwatch, belfry.require_watch, belfry.require_watched, belfry.require_expression,
    belfry.require_argument, belfry.require_kind, belfry.template, belfry.watched_rows, belfry.watched_pairs,
    belfry.watched_statements, belfry.watched_by_key, belfry.fault, belfry.encoded, belfry.require_stored,
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

INSERT INTO belfry.migration (version, name) VALUES (11, 'watch_by_key');
SET LOCAL ROLE NONE;
