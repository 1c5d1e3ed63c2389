-- Brings back what was before 0014_safer_functions.
-- Locks: a replaced function locks no table; a replaced view keeps its readers out for an instant.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

CREATE OR REPLACE VIEW belfry.watched AS
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

--- functions/archive.sql ---
CREATE OR REPLACE FUNCTION belfry.archive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(archive.recipient, 'archived', archive.ids, NULL, archive.tenant, archive.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive(text, bigint[], text, text[]) IS
    'Archives notifications of the recipient: they leave list and counts, and remain read or unread. Returns how many '
    'changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/archive_all.sql ---
CREATE OR REPLACE FUNCTION belfry.archive_all(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(archive_all.recipient, 'archived', archive_all.through, archive_all.tenant, archive_all.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive_all(text, bigint, text, text[]) IS
    'Archives everything in the inbox of the recipient, at or below the id through, or all of it. What commits later '
    'is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
--- end ---

--- functions/badges.sql ---
CREATE OR REPLACE FUNCTION belfry.badges(
    scopes jsonb, head bigint DEFAULT NULL, los bigint[] DEFAULT '{}', his bigint[] DEFAULT '{}'
) RETURNS TABLE (place integer, unread bigint, unseen bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gaps CONSTANT int8multirange := (
        SELECT range_agg(int8range(gap.lo, gap.hi, '[]')) FROM unnest(badges.los, badges.his) AS gap (lo, hi));
BEGIN
    RETURN QUERY
    SELECT scope.place::integer, counted.unread, counted.unseen
    FROM jsonb_array_elements(badges.scopes) WITH ORDINALITY AS scope (asked, place)
    CROSS JOIN LATERAL belfry.tally(
        scope.asked->>'recipient', scope.asked->>'tenant',
        CASE WHEN jsonb_typeof(scope.asked->'topics') = 'array'
            THEN ARRAY(SELECT jsonb_array_elements_text(scope.asked->'topics')) END,
        badges.head, gaps) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.badges(jsonb, bigint, bigint[], bigint[]) IS
    'For relays: the counts of many scopes [{"recipient", "tenant", "topics"}] in one snapshot, place being that in the '
    'array, from 1. Only notifications with an id at or below head and in none of the ranges count, so that counts can '
    'belong to a cursor. Writes nothing.';
--- end ---

--- functions/contact.sql ---
CREATE OR REPLACE FUNCTION belfry.contact(recipients text[]) RETURNS TABLE (recipient text, since bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    -- In one order for all callers, so that two relays wait for each other and never in a circle.
    INSERT INTO belfry.inbox (recipient, since)
    SELECT wanted.recipient, belfry.first_contact(wanted.recipient)
    FROM (SELECT DISTINCT named.recipient FROM unnest(contact.recipients) AS named (recipient)) AS wanted
    WHERE NOT EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = wanted.recipient)
    ORDER BY wanted.recipient COLLATE "C"
    ON CONFLICT DO NOTHING;
    RETURN QUERY
    SELECT inbox.recipient, inbox.since FROM belfry.inbox WHERE inbox.recipient = ANY (contact.recipients);
END
$$;
COMMENT ON FUNCTION belfry.contact(text[]) IS
    'For relays: records the first contact of those who have none yet (their first direct notification, their first '
    'subscription, or now) and returns it for all: a row of the topic * is theirs when its id is above since. '
    'Senders never write belfry.inbox, so that no two of them wait for each other there.';
--- end ---

--- functions/counts.sql ---
CREATE OR REPLACE FUNCTION belfry.counts(
    recipient text, tenant text DEFAULT NULL, topics text[] DEFAULT NULL,
    OUT unread bigint, OUT unseen bigint, OUT total bigint
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.greet(counts.recipient);
    -- One statement, hence one snapshot.
    SELECT fresh.unread, fresh.unseen, kept.total INTO unread, unseen, total
    FROM belfry.tally(counts.recipient, counts.tenant, counts.topics, NULL, NULL) AS fresh,
        belfry.total(counts.recipient, counts.tenant, counts.topics) AS kept;
END
$$;
COMMENT ON FUNCTION belfry.counts(text, text, text[]) IS
    'How many notifications of the recipient are unread, unseen, and in the inbox at all (neither archived nor snoozed), '
    'exactly, in one snapshot. tenant and topics narrow: what was sent to the recipient directly is in every topic.';
--- end ---

--- functions/declare_kind.sql ---
CREATE OR REPLACE FUNCTION belfry.declare_kind(
    kind text, label text DEFAULT '', required boolean DEFAULT false, enabled boolean DEFAULT true
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    present belfry.kind;
    taken bigint;
BEGIN
    PERFORM belfry.require_kind(declare_kind.kind, false);
    declare_kind.label := coalesce(declare_kind.label, '');
    declare_kind.required := coalesce(declare_kind.required, false);
    declare_kind.enabled := coalesce(declare_kind.enabled, true);
    -- Before the id is taken, so that the ids of declarations are in the order of their commits.
    PERFORM pg_advisory_xact_lock(1111837766, 3);
    SELECT * INTO present FROM belfry.kind WHERE kind.kind = declare_kind.kind AND kind.until IS NULL;
    IF present.required IS NOT DISTINCT FROM declare_kind.required
        AND present.enabled IS NOT DISTINCT FROM declare_kind.enabled THEN
        UPDATE belfry.kind SET label = declare_kind.label
        WHERE kind.kind = declare_kind.kind AND kind.until IS NULL AND kind.label <> declare_kind.label;
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (topic, verb, kind, enabled)
    VALUES ('*', 'declared', declare_kind.kind, declare_kind.enabled OR declare_kind.required)
    RETURNING change.id INTO taken;
    UPDATE belfry.kind SET until = taken WHERE kind.kind = declare_kind.kind AND kind.until IS NULL;
    -- Conflicts only when a snapshot older than the lock hid another declaration; then this raises 40001, not 23505.
    INSERT INTO belfry.kind (kind, since, label, required, enabled)
    VALUES (declare_kind.kind, taken, declare_kind.label, declare_kind.required, declare_kind.enabled)
    ON CONFLICT (kind) WHERE until IS NULL DO NOTHING;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.declare_kind(text, text, boolean, boolean) IS
    'Says what people read for a kind in their preferences, whether it is required (nobody can mute it) and whether it '
    'is on for those who made no choice. Concerns what is sent with a higher id. Returns the position of the change, or '
    'NULL when at most the label changes. For migrations: calling it again with the same arguments does nothing.';
--- end ---

--- functions/define_segment.sql ---
CREATE OR REPLACE FUNCTION belfry.define_segment(name text, filter jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    its_topic CONSTANT text := 'segment:' || define_segment.name;
    gained text[];
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM belfry.require_argument(
        char_length(define_segment.name) BETWEEN 1 AND 200 AND define_segment.name !~ '[\u0001-\u001F\u007F-\u009F/]',
        'name', 'It is no name of a segment.', 'Give 1 to 200 characters without "/" and control characters.');
    PERFORM belfry.require_argument(
        jsonb_typeof(define_segment.filter) = 'object', 'filter', 'It is no JSON object.',
        'Give what the traits must contain, such as {"plan": "pro"}; {} is everyone who has traits.');
    PERFORM pg_advisory_xact_lock(1111837766, 4);
    INSERT INTO belfry.segment AS known (name, filter) VALUES (define_segment.name, define_segment.filter)
    ON CONFLICT ON CONSTRAINT segment_pkey DO UPDATE SET filter = excluded.filter;
    -- Each is looked up by its key: a join of the two is quadratic until the tables have been analyzed.
    gained := ARRAY(
        SELECT t.recipient FROM belfry.traits AS t WHERE t.traits @> define_segment.filter AND (
            SELECT true FROM belfry.subscription AS s
            WHERE s.recipient = t.recipient AND s.topic = its_topic AND s.until IS NULL) IS NULL);
    lost := ARRAY(
        SELECT s.recipient FROM belfry.subscription AS s WHERE s.topic = its_topic AND s.until IS NULL
            AND (SELECT t.traits @> define_segment.filter FROM belfry.traits AS t
                WHERE t.recipient = s.recipient) IS NOT TRUE);
    PERFORM belfry.enroll(gained, array_fill(its_topic, ARRAY[cardinality(gained)])) WHERE gained <> '{}';
    PERFORM belfry.dismiss(lost, array_fill(its_topic, ARRAY[cardinality(lost)])) WHERE lost <> '{}';
END
$$;
COMMENT ON FUNCTION belfry.define_segment(text, jsonb) IS
    'Makes or changes a segment: everyone whose traits contain the filter is subscribed to the topic segment:<name>, now '
    'and whenever traits change. belfry.publish(''segment:<name>'', …) is one row, as for any topic. Under READ COMMITTED alone: BF012.';

CREATE OR REPLACE FUNCTION belfry.define_segment(name text, filter text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    pairs CONSTANT text[] := string_to_array(define_segment.filter, ',');
    contained jsonb;
BEGIN
    IF define_segment.filter ~ '^\s*\{' THEN
        BEGIN
            contained := define_segment.filter::jsonb;
        EXCEPTION WHEN data_exception THEN
            contained := NULL; -- which is refused by name
        END;
        PERFORM belfry.define_segment(define_segment.name, contained);
        RETURN;
    END IF;
    PERFORM belfry.require_argument(
        define_segment.filter <> '' AND NOT EXISTS (SELECT FROM unnest(pairs) AS pair WHERE pair !~ '^\s*[^:\s]+\s*:\s*\S')
            AND cardinality(pairs) = (SELECT count(DISTINCT btrim(split_part(pair, ':', 1))) FROM unnest(pairs) AS pair),
        'filter', 'It is neither a JSON object nor trait:value pairs, each trait once.',
        'Give for example plan:pro,role:admin.');
    PERFORM belfry.define_segment(define_segment.name, (
        SELECT jsonb_object_agg(btrim(split_part(pair, ':', 1)), btrim(substr(pair, strpos(pair, ':') + 1)))
        FROM unnest(pairs) AS pair));
END
$$;
COMMENT ON FUNCTION belfry.define_segment(text, text) IS
    'The same with the filter as text: plan:pro,role:admin, whose values are texts, or a JSON object.';
--- end ---

--- functions/deliver_due.sql ---
CREATE OR REPLACE FUNCTION belfry.deliver_due(max_rows integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_argument(
        deliver_due.max_rows >= 1, 'max_rows', format('It is %s.', coalesce(deliver_due.max_rows::text, 'NULL')),
        'Give 1 or more, or leave it out for 1000.');
    RETURN belfry.deliver_scheduled(deliver_due.max_rows) + belfry.end_snoozes(deliver_due.max_rows)
        + belfry.end_expired(deliver_due.max_rows);
END
$$;
COMMENT ON FUNCTION belfry.deliver_due(integer) IS
    'Does what is due: scheduled notifications are sent with an id of this moment, snoozes end, expired notifications '
    'leave. At most max_rows of each; returns how many in all. Relays call it every second; without a relay call it from '
    'cron. Several callers at once do each thing once, and wait for nobody.';
--- end ---

--- functions/deposit.sql ---
CREATE OR REPLACE FUNCTION belfry.deposit(
    recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, actions jsonb,
    actor jsonb, tags text[], severity text, tenant text, dedupe_key text, group_key text,
    deliver_at timestamptz, expires_at timestamptz
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    sent bigint;
BEGIN
    deposit.title := coalesce(deposit.title, '');
    deposit.body := coalesce(deposit.body, '');
    deposit.data := coalesce(deposit.data, '{}');
    deposit.actions := coalesce(deposit.actions, '[]');
    deposit.tags := coalesce(deposit.tags, '{}');
    deposit.severity := coalesce(deposit.severity, 'info');
    deposit.tenant := coalesce(deposit.tenant, '');
    PERFORM belfry.require_notification(
        deposit.recipient, deposit.topic, deposit.tenant, deposit.kind, deposit.title, deposit.body, deposit.data,
        deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity, deposit.dedupe_key,
        deposit.group_key);
    IF NOT isfinite(deposit.deliver_at) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006', COLUMN = 'deliver_at',
            MESSAGE = 'deliver_at is no time',
            DETAIL = format('deliver_at is %s.', deposit.deliver_at),
            HINT = 'Leave deliver_at out to send at once.';
    END IF;
    IF deposit.dedupe_key IS NOT NULL THEN
        SELECT -s.number INTO sent FROM belfry.scheduled AS s
        WHERE s.dedupe_key = deposit.dedupe_key
            AND coalesce(s.recipient, s.topic) = coalesce(deposit.recipient, deposit.topic)
            AND (s.topic IS NULL) = (deposit.topic IS NULL);
        IF FOUND THEN
            RETURN sent;
        END IF;
    END IF;
    -- Who waited for another sender of the same key finds either its row, or, when that one rolled back, room.
    FOR attempt IN 1..100 LOOP
        IF deposit.deliver_at > now() AND NOT EXISTS (
            SELECT FROM belfry.notification AS n
            WHERE n.dedupe_key = deposit.dedupe_key AND (n.recipient = deposit.recipient OR n.topic = deposit.topic))
        THEN
            INSERT INTO belfry.scheduled (
                deliver_at, recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant,
                dedupe_key, group_key, expires_at)
            VALUES (
                deposit.deliver_at, deposit.recipient, deposit.topic, deposit.kind, deposit.title, deposit.body,
                deposit.data, deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity,
                deposit.tenant, deposit.dedupe_key, deposit.group_key, deposit.expires_at)
            ON CONFLICT DO NOTHING
            RETURNING -scheduled.number INTO sent;
            IF sent IS NULL THEN
                SELECT -s.number INTO sent FROM belfry.scheduled AS s
                WHERE s.dedupe_key = deposit.dedupe_key
                    AND coalesce(s.recipient, s.topic) = coalesce(deposit.recipient, deposit.topic)
                    AND (s.topic IS NULL) = (deposit.topic IS NULL);
            END IF;
        ELSE
            INSERT INTO belfry.notification (
                recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant,
                dedupe_key, group_key, expires_at)
            VALUES (
                deposit.recipient, deposit.topic, deposit.kind, deposit.title, deposit.body, deposit.data,
                deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity, deposit.tenant,
                deposit.dedupe_key, deposit.group_key, deposit.expires_at)
            ON CONFLICT DO NOTHING
            RETURNING notification.id INTO sent;
        END IF;
        IF sent IS NULL AND deposit.topic IS NULL THEN
            SELECT notification.id INTO sent FROM belfry.notification
            WHERE notification.recipient = deposit.recipient AND notification.dedupe_key = deposit.dedupe_key;
        ELSIF sent IS NULL THEN
            SELECT notification.id INTO sent FROM belfry.notification
            WHERE notification.topic = deposit.topic AND notification.dedupe_key = deposit.dedupe_key;
        END IF;
        IF sent IS NOT NULL THEN
            RETURN sent;
        END IF;
    END LOOP;
    RAISE EXCEPTION USING
        ERRCODE = 'unique_violation',
        MESSAGE = 'no free id was found for the notification',
        HINT = 'The sequence belfry.position stands below ids that exist; a DBA must set it above the largest.';
END
$$;
COMMENT ON FUNCTION belfry.deposit(
    text, text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Internal: the careful way of send and publish, for a dedupe_key, a deliver_at, and a NULL to refuse or default. '
    'Looks up the first id of a dedupe_key, for which a sender has not the rights.';
--- end ---

--- functions/drop_segment.sql ---
CREATE OR REPLACE FUNCTION belfry.drop_segment(name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    its_topic CONSTANT text := 'segment:' || drop_segment.name;
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM pg_advisory_xact_lock(1111837766, 4);
    DELETE FROM belfry.segment WHERE segment.name = drop_segment.name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    lost := ARRAY(
        SELECT s.recipient FROM belfry.subscription AS s WHERE s.topic = its_topic AND s.until IS NULL);
    PERFORM belfry.dismiss(lost, array_fill(its_topic, ARRAY[cardinality(lost)])) WHERE lost <> '{}';
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.drop_segment(text) IS
    'Removes a segment and ends its subscriptions; what was sent to it stays in the inboxes. Returns whether there was one.';
--- end ---

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

--- functions/end_snoozes.sql ---
CREATE OR REPLACE FUNCTION belfry.end_snoozes(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    reader text;
    due bigint[];
    done integer := 0;
BEGIN
    -- In one order for all callers; a recipient whose state another is changing comes at the next call.
    FOR reader IN
        SELECT DISTINCT oldest.recipient COLLATE "C" FROM (
            SELECT receipt.recipient FROM belfry.receipt WHERE receipt.snoozed_until <= now()
            ORDER BY receipt.snoozed_until LIMIT end_snoozes.max_rows) AS oldest
        ORDER BY 1
    LOOP
        EXIT WHEN done >= end_snoozes.max_rows;
        PERFORM FROM belfry.inbox WHERE inbox.recipient = reader FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        due := ARRAY(
            SELECT receipt.notification_id FROM belfry.receipt
            WHERE receipt.recipient = reader AND receipt.snoozed_until <= now()
            ORDER BY receipt.notification_id LIMIT end_snoozes.max_rows - done);
        PERFORM belfry.mark(reader, 'unsnoozed', due, NULL, NULL, NULL);
        -- What has left the inbox meanwhile returns to nobody.
        UPDATE belfry.receipt SET snoozed_until = NULL
        WHERE receipt.recipient = reader AND receipt.notification_id = ANY (due) AND receipt.snoozed_until IS NOT NULL;
        PERFORM belfry.tidy(reader, due);
        done := done + cardinality(due);
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.end_snoozes(integer) IS
    'Internal: the snoozes of belfry.deliver_due: they return unread and unseen.';
--- end ---

--- functions/ensure_epoch.sql ---
CREATE OR REPLACE FUNCTION belfry.ensure_epoch() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    recorded belfry.epoch;
    known record;
BEGIN
    SELECT epoch.* INTO recorded FROM belfry.settled JOIN belfry.epoch ON epoch.token = settled.epoch;
    SELECT * INTO known FROM belfry.identity();
    IF known.system_identifier IS NULL
        OR (known.system_identifier, known.timeline) IS NOT DISTINCT FROM
            (recorded.system_identifier, recorded.timeline) THEN
        RETURN recorded.token;
    END IF;
    RETURN belfry.new_epoch(recorded.token);
END
$$;
COMMENT ON FUNCTION belfry.ensure_epoch() IS
    'For relays, on every new connection: begins a new epoch when this server is another one than the epoch was made on '
    '(a promoted standby, a restored backup), and returns the present epoch.';
--- end ---

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

--- functions/erase.sql ---
CREATE OR REPLACE FUNCTION belfry.erase(recipient text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gone bigint;
    removed bigint := 0;
BEGIN
    PERFORM belfry.require_recipient(erase.recipient);
    -- Who defines a segment may be about to put them into it, as may who sets their traits: hence these go before stays.
    PERFORM pg_advisory_xact_lock_shared(1111837766, 4);
    -- First of the rows, as whoever changes this recipient's state does: they wait, and then find nothing.
    DELETE FROM belfry.inbox WHERE inbox.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.receipt WHERE receipt.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.notification WHERE notification.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.scheduled WHERE scheduled.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.traits WHERE traits.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.subscription WHERE subscription.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.preference WHERE preference.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.change WHERE change.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    -- A relay that misses the newest row it has seen takes the database for another one: so there is a newer row. It
    -- says nothing, to a topic that nobody can have.
    IF removed > 0 THEN
        INSERT INTO belfry.change (topic, verb, ids) VALUES ('/', 'retracted', '{0}');
    END IF;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION belfry.erase(text) IS
    'Forgets a recipient inside the caller''s transaction: what was sent to them directly, what they did, their '
    'subscriptions, preferences, traits and changes. Returns how many rows went. What others were sent stays, with what '
    'it may say of them. Stop sending to them first: what is sent afterwards is a new beginning. Streams that are open '
    'go on until their token ends.';
--- end ---

--- functions/export.sql ---
CREATE OR REPLACE FUNCTION belfry.export(recipient text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_recipient(export.recipient);
    RETURN (
        SELECT jsonb_build_object(
            'recipient', export.recipient,
            'exported_at', now(),
            'first_contact', (SELECT i.created_at FROM belfry.inbox AS i WHERE i.recipient = export.recipient),
            'traits', (SELECT t.traits FROM belfry.traits AS t WHERE t.recipient = export.recipient),
            'preferences', coalesce((
                SELECT jsonb_agg(jsonb_build_object('kind', p.kind, 'enabled', p.enabled, 'current', p.until IS NULL)
                    ORDER BY p.kind, p.since)
                FROM belfry.preference AS p WHERE p.recipient = export.recipient), '[]'),
            'subscriptions', coalesce((
                SELECT jsonb_agg(jsonb_build_object('topic', s.topic, 'since', s.since, 'until', s.until)
                    ORDER BY s.since)
                FROM belfry.subscription AS s WHERE s.recipient = export.recipient), '[]'),
            'notifications', coalesce((
                SELECT jsonb_agg(to_jsonb(n) - 'silent' ORDER BY n.id)
                FROM belfry.notification AS n WHERE n.recipient = export.recipient), '[]'),
            'scheduled', coalesce((
                SELECT jsonb_agg(to_jsonb(d) ORDER BY d.number)
                FROM belfry.scheduled AS d WHERE d.recipient = export.recipient), '[]'),
            'receipts', coalesce((
                SELECT jsonb_agg(to_jsonb(c) - 'recipient' ORDER BY c.notification_id)
                FROM belfry.receipt AS c WHERE c.recipient = export.recipient), '[]'),
            'watermarks', (
                SELECT jsonb_build_object(
                    'read', i.read_through, 'seen', i.seen_through, 'archived', i.archived_through)
                FROM belfry.inbox AS i WHERE i.recipient = export.recipient),
            'changes', coalesce((
                SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(g) - 'recipient') ORDER BY g.id)
                FROM belfry.change AS g WHERE g.recipient = export.recipient), '[]')));
END
$$;
COMMENT ON FUNCTION belfry.export(text) IS
    'All that is stored of a recipient, as one JSON object: first_contact, traits, preferences, subscriptions, '
    'notifications that were sent to them directly, scheduled ones, receipts and watermarks (what they did with them and '
    'with those of topics), changes.';
--- end ---

--- functions/forget_idempotency.sql ---
CREATE OR REPLACE FUNCTION belfry.forget_idempotency(age interval DEFAULT '1 day') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gone bigint;
BEGIN
    PERFORM belfry.require_argument(
        forget_idempotency.age >= interval '0', 'age', format('It is %s.', coalesce(forget_idempotency.age::text, 'NULL')),
        'Give how old an answer must be, such as interval ''1 day''.');
    DELETE FROM belfry.idempotency WHERE idempotency.created_at < now() - forget_idempotency.age;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION belfry.forget_idempotency(interval) IS
    'For relays: forgets the answers to requests that are older than that; returns how many.';
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

--- functions/identity.sql ---
CREATE OR REPLACE FUNCTION belfry.identity(OUT system_identifier bigint, OUT timeline text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    SELECT control.system_identifier INTO identity.system_identifier FROM pg_control_system() AS control;
    identity.timeline := left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION
    -- Some hosted Postgres keep these functions back: the pair is then unknown, and belfry.new_epoch() remains.
    WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
        identity.system_identifier := NULL;
        identity.timeline := NULL;
END
$$;
COMMENT ON FUNCTION belfry.identity() IS
    'Internal: the system identifier and the timeline of this server; both NULL where it does not tell.';
--- end ---

--- functions/import.sql ---
CREATE OR REPLACE FUNCTION belfry.import(items jsonb) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
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
                WHERE item.deliver_at IS NOT NULL OR NOT (isfinite(item.created_at) AND isfinite(item.seen_at)
                    AND isfinite(item.read_at) AND isfinite(item.archived_at))),
            'items', 'An item has an infinite time, or a deliver_at.',
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
                group_key, expires_at, created_at, silent, ended_at)
            SELECT item.recipient, item.topic, coalesce(item.kind, ''), coalesce(item.title, ''), coalesce(item.body, ''),
                coalesce(nullif(item.data, 'null'), '{}'), item.action_url, coalesce(nullif(item.actions, 'null'), '[]'),
                nullif(item.actor, 'null'), coalesce(item.tags, '{}'), coalesce(item.severity, 'info'),
                coalesce(item.tenant, ''), item.dedupe_key, item.group_key, item.expires_at, coalesce(item.created_at, now()), true,
                CASE WHEN item.expires_at <= now() THEN now() END
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
--- end ---

--- functions/list_inbox.sql ---
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
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
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
--- end ---

--- functions/mark_all_read.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_all_read(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_read.recipient, 'read', mark_all_read.through, mark_all_read.tenant, mark_all_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_read(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as read, and so as seen, at or below the id through, or all of '
    'it. What commits later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
--- end ---

--- functions/mark_all_seen.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_all_seen(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_seen.recipient, 'seen', mark_all_seen.through, mark_all_seen.tenant, mark_all_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_seen(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as seen, at or below the id through, or all of it. What commits '
    'later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
--- end ---

--- functions/mark_read.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_read(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_read.recipient, 'read', mark_read.ids, NULL, mark_read.tenant, mark_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_read(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as read, and so as seen. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/mark_seen.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_seen(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_seen.recipient, 'seen', mark_seen.ids, NULL, mark_seen.tenant, mark_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_seen(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as seen, which leaves them unread. Returns how many changed; ids that are '
    'unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/mark_unread.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_unread(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_unread.recipient, 'unread', mark_unread.ids, NULL, mark_unread.tenant, mark_unread.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_unread(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as unread. Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/new_epoch.sql ---
CREATE OR REPLACE FUNCTION belfry.new_epoch(expected text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    present text;
    random bytea;
BEGIN
    SELECT settled.epoch INTO present FROM belfry.settled FOR UPDATE;
    IF present <> new_epoch.expected THEN
        RETURN present;
    END IF;
    -- Random, not counted: two copies of one database would count to the same number.
    LOOP
        random := uuid_send(gen_random_uuid());
        SELECT string_agg(
            substr('abcdefghijklmnopqrstuvwxyz0123456789', get_byte(random, place) % 36 + 1, 1), '' ORDER BY place)
        INTO present FROM generate_series(0, 5) AS place;
        EXIT WHEN NOT EXISTS (SELECT FROM belfry.epoch WHERE epoch.token = present);
    END LOOP;
    INSERT INTO belfry.epoch (token, system_identifier, timeline)
    SELECT present, known.system_identifier, known.timeline FROM belfry.identity() AS known;
    UPDATE belfry.settled SET
        epoch = present,
        through = least(settled.through, belfry.last_position()),
        pruned = least(settled.pruned, belfry.last_position());
    RETURN present;
END
$$;
COMMENT ON FUNCTION belfry.new_epoch(text) IS
    'Begins a new epoch, so that every cursor from before gets a reset; to be called after a restored snapshot or '
    'backup. With expected it does so only while that is the present one, so that several callers make one. '
    'Returns the present epoch.';
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

--- functions/preferences.sql ---
CREATE OR REPLACE FUNCTION belfry.preferences(recipient text)
    RETURNS TABLE (kind text, label text, required boolean, enabled boolean, chosen boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    everything boolean;
BEGIN
    PERFORM belfry.require_recipient(preferences.recipient);
    SELECT own.enabled INTO everything FROM belfry.preference AS own
    WHERE own.recipient = preferences.recipient AND own.kind = '*' AND own.until IS NULL;
    RETURN QUERY
    SELECT coalesce(declared.kind, own.kind), coalesce(declared.label, ''), coalesce(declared.required, false),
        coalesce(declared.required, false) OR coalesce(own.enabled, everything, declared.enabled, true),
        own.kind IS NOT NULL
    FROM (SELECT * FROM belfry.kind AS k WHERE k.until IS NULL) AS declared
    FULL JOIN (
        SELECT * FROM belfry.preference AS p WHERE p.recipient = preferences.recipient AND p.until IS NULL) AS own
        ON own.kind = declared.kind
    ORDER BY coalesce(declared.kind, own.kind) COLLATE "C";
END
$$;
COMMENT ON FUNCTION belfry.preferences(text) IS
    'How each declared kind, and what else they have chosen, stands for the recipient: enabled is what holds now, chosen '
    'whether it is their own choice.';
--- end ---

--- functions/prune.sql ---
CREATE OR REPLACE FUNCTION belfry.prune(older_than interval, max_rows integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
    SET plan_cache_mode = 'force_custom_plan'
AS $$
DECLARE
    present belfry.settled;
    young CONSTANT timestamptz := now() - prune.older_than;
    boundary bigint;
    gone bigint;
    removed bigint := 0;
BEGIN
    PERFORM belfry.require_argument(
        prune.older_than >= interval '0', 'older_than', format('It is %s.', coalesce(prune.older_than::text, 'NULL')),
        'Give an age, such as interval ''90 days''.');
    PERFORM belfry.require_argument(
        prune.max_rows BETWEEN 1 AND 100000, 'max_rows', format('It is %s.', coalesce(prune.max_rows::text, 'NULL')),
        'Give a number from 1 to 100000, and call it until it returns 0.');
    IF NOT pg_try_advisory_xact_lock(1111837766, 5) THEN
        RETURN 0;
    END IF;
    SELECT * INTO present FROM belfry.settled;
    -- What is left of the rows that went before: nobody has it any more, so it need not go in one transaction with them.
    DELETE FROM belfry.receipt AS c USING (
        SELECT receipt.recipient, receipt.notification_id FROM belfry.receipt
        WHERE receipt.notification_id <= present.pruned LIMIT prune.max_rows) AS orphan
    WHERE c.recipient = orphan.recipient AND c.notification_id = orphan.notification_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.subscription AS s USING (
        SELECT subscription.recipient, subscription.topic, subscription.since FROM belfry.subscription
        WHERE subscription.until <= present.pruned LIMIT prune.max_rows) AS over
    WHERE s.recipient = over.recipient AND s.topic = over.topic AND s.since = over.since;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.preference AS p USING (
        SELECT preference.recipient, preference.kind, preference.since FROM belfry.preference
        WHERE preference.until <= present.pruned LIMIT prune.max_rows) AS over
    WHERE p.recipient = over.recipient AND p.kind = over.kind AND p.since = over.since;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    IF removed >= prune.max_rows THEN
        RETURN removed;
    END IF;
    -- Both tables up to one position: the last old one before the first that is young, or before a page is full.
    SELECT least(
        (SELECT CASE WHEN count(*) = prune.max_rows OR bool_or(page.created_at >= young)
                THEN coalesce(min(page.id) FILTER (WHERE page.created_at >= young) - 1, max(page.id))
                ELSE present.through END
            FROM (SELECT n.id, n.created_at FROM belfry.notification AS n
                WHERE n.id > present.pruned AND n.id <= present.through ORDER BY n.id LIMIT prune.max_rows) AS page),
        (SELECT CASE WHEN count(*) = prune.max_rows OR bool_or(page.created_at >= young)
                THEN coalesce(min(page.id) FILTER (WHERE page.created_at >= young) - 1, max(page.id))
                ELSE present.through END
            FROM (SELECT g.id, g.created_at FROM belfry.change AS g
                WHERE g.id > present.pruned AND g.id <= present.through ORDER BY g.id LIMIT prune.max_rows) AS page))
    INTO boundary;
    DELETE FROM belfry.notification AS n WHERE n.id > present.pruned AND n.id <= boundary;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.change AS g WHERE g.id > present.pruned AND g.id <= boundary;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF removed + gone > 0 AND boundary > present.pruned THEN
        UPDATE belfry.settled SET pruned = boundary;
    END IF;
    RETURN removed + gone;
END
$$;
COMMENT ON FUNCTION belfry.prune(interval, integer) IS
    'Removes notifications and changes that are older, oldest first and read or not, with what belongs to them: one '
    'batch, at most max_rows of each table. Returns how many rows went; call it until it returns 0, which it also does '
    'while another prunes. Never above what is settled. A client that comes back from before gets a reset ("pruned"); '
    'the dedupe keys of what went are free again.';
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

--- functions/require_items.sql ---
CREATE OR REPLACE FUNCTION belfry.require_items(items jsonb) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    item jsonb;
    place bigint;
    field text;
    moment timestamptz;
    made record;
    message text;
    detail text;
    hint text;
    named text;
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
--- end ---

--- functions/require_kind.sql ---
CREATE OR REPLACE FUNCTION belfry.require_kind(kind text, star boolean) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF (require_kind.star AND require_kind.kind = '*')
        OR (char_length(require_kind.kind) <= 255 AND require_kind.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$') THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF003', COLUMN = 'kind',
        MESSAGE = 'this is not a kind',
        DETAIL = CASE
            WHEN require_kind.kind IS NULL THEN 'It is NULL.'
            WHEN char_length(require_kind.kind) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_kind.kind))
            ELSE format('It is %s.', to_json(require_kind.kind))
        END,
        HINT = 'A kind is a dotted lower-case name of at most 255 characters, such as comment.created.';
END
$$;
COMMENT ON FUNCTION belfry.require_kind(text, boolean) IS
    'Internal: true, or raises BF003 unless the text can be the name of a kind; with star also *.';
--- end ---

--- functions/require_notification.sql ---
CREATE OR REPLACE FUNCTION belfry.require_notification(
    recipient text, topic text, tenant text, kind text, title text, body text, data jsonb, action_url text,
    actions jsonb, actor jsonb, tags text[], severity text, dedupe_key text, group_key text
) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    size integer;
    fault text;
BEGIN
    -- One expression for what is in order, because every sender pays for it.
    IF (require_notification.recipient IS NULL) <> (require_notification.topic IS NULL)
        AND char_length(coalesce(require_notification.recipient, require_notification.topic)) BETWEEN 1 AND 255
        AND coalesce(require_notification.recipient, require_notification.topic)
            !~ '[\u0001-\u001F\u007F-\u009F/]'
        AND (require_notification.tenant = ''
            OR (char_length(require_notification.tenant) <= 255
                AND require_notification.tenant !~ '[\u0001-\u001F\u007F-\u009F/]'))
        AND char_length(require_notification.kind) <= 255
        AND require_notification.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$'
        AND jsonb_typeof(require_notification.data) = 'object'
        AND jsonb_typeof(require_notification.actions) = 'array'
        AND (require_notification.actor IS NULL OR jsonb_typeof(require_notification.actor) = 'object')
        AND (require_notification.tags = '{}'
            OR (array_ndims(require_notification.tags) = 1
                AND array_position(require_notification.tags, NULL) IS NULL))
        AND require_notification.severity IN ('info', 'success', 'warning', 'error')
        AND (require_notification.dedupe_key IS NULL
            OR char_length(require_notification.dedupe_key) BETWEEN 1 AND 255)
        AND (require_notification.group_key IS NULL
            OR char_length(require_notification.group_key) BETWEEN 1 AND 255)
        AND octet_length(concat(
            require_notification.title, require_notification.body, require_notification.data,
            require_notification.action_url, require_notification.actions, require_notification.actor,
            require_notification.tags)) <= 65536
    THEN
        RETURN true;
    END IF;

    IF (require_notification.recipient IS NULL) = (require_notification.topic IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF005', TABLE = 'notification', CONSTRAINT = 'notification_audience',
            MESSAGE = 'a notification needs exactly one audience',
            DETAIL = CASE WHEN require_notification.topic IS NULL THEN 'Neither recipient nor topic was given.'
                ELSE 'recipient and topic were both given.' END,
            HINT = 'Name either a recipient or a topic.';
    ELSIF require_notification.topic IS NULL THEN
        PERFORM belfry.require_recipient(require_notification.recipient);
    ELSE
        PERFORM belfry.require_topic(require_notification.topic);
    END IF;

    IF (char_length(require_notification.kind) <= 255
        AND require_notification.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF003', TABLE = 'notification', COLUMN = 'kind', CONSTRAINT = 'notification_kind',
            MESSAGE = 'this is not a kind',
            DETAIL = CASE
                WHEN require_notification.kind IS NULL THEN 'It is NULL.'
                WHEN char_length(require_notification.kind) NOT BETWEEN 1 AND 255
                    THEN format('It has %s characters.', char_length(require_notification.kind))
                ELSE format('It is %s.', to_json(require_notification.kind))
            END,
            HINT = 'A kind is a dotted lower-case name of at most 255 characters, such as comment.created.';
    END IF;

    fault := CASE
        WHEN require_notification.severity NOT IN ('info', 'success', 'warning', 'error')
            THEN 'severity must be info, success, warning or error.'
        WHEN jsonb_typeof(require_notification.data) <> 'object' THEN 'data must be a JSON object.'
        WHEN jsonb_typeof(require_notification.actions) <> 'array' THEN 'actions must be a JSON array.'
        WHEN jsonb_typeof(require_notification.actor) <> 'object' THEN 'actor must be a JSON object, or NULL.'
        WHEN array_ndims(require_notification.tags) > 1
            OR array_position(require_notification.tags, NULL) IS NOT NULL
            THEN 'tags must be a flat array without NULL.'
        WHEN char_length(require_notification.tenant) > 255
            OR require_notification.tenant ~ '[\u0001-\u001F\u007F-\u009F/]'
            THEN 'tenant must have at most 255 characters, none of them "/" or a control character.'
        WHEN char_length(require_notification.dedupe_key) NOT BETWEEN 1 AND 255
            THEN 'dedupe_key must have 1 to 255 characters, or be NULL.'
        WHEN char_length(require_notification.group_key) NOT BETWEEN 1 AND 255
            THEN 'group_key must have 1 to 255 characters, or be NULL.'
    END;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF007', TABLE = 'notification', COLUMN = split_part(fault, ' ', 1),
            CONSTRAINT = 'notification_' || split_part(fault, ' ', 1),
            MESSAGE = format('%s is not valid', split_part(fault, ' ', 1)),
            DETAIL = fault,
            HINT = '\d+ belfry.notification describes every column; one that is left out has a default.';
    END IF;

    size := octet_length(concat(
        require_notification.title, require_notification.body, require_notification.data,
        require_notification.action_url, require_notification.actions, require_notification.actor,
        require_notification.tags));
    RAISE EXCEPTION USING
        ERRCODE = 'BF004', TABLE = 'notification', CONSTRAINT = 'notification_payload',
        MESSAGE = 'the notification is too large',
        DETAIL = format('title, body, data, action_url, actions, actor and tags have %s bytes together; '
            'at most 65536 are allowed.', size),
        HINT = 'Send a reference to what is large, for example its address in action_url.';
END
$$;
COMMENT ON FUNCTION belfry.require_notification(
    text, text, text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text
) IS
    'Internal: the limits of a notification, for the CHECK of the table. True, or raises BF001 to BF005 or BF007 with '
    'the name of the limit. One function, because Postgres reads each CHECK anew for each INSERT: thirteen of them '
    'halved the rate of commits.';
--- end ---

--- functions/require_recipient.sql ---
CREATE OR REPLACE FUNCTION belfry.require_recipient(recipient text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF char_length(require_recipient.recipient) BETWEEN 1 AND 255
        AND require_recipient.recipient !~ '[\u0001-\u001F\u007F-\u009F/]' THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF001', COLUMN = 'recipient',
        MESSAGE = 'this is not a recipient',
        DETAIL = CASE
            WHEN require_recipient.recipient IS NULL THEN 'It is NULL.'
            WHEN char_length(require_recipient.recipient) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_recipient.recipient))
            ELSE format('It contains "/" or a control character: %s.', to_json(require_recipient.recipient))
        END,
        HINT = 'A recipient is 1 to 255 characters without "/" and control characters: your user''s id as text.';
END
$$;
COMMENT ON FUNCTION belfry.require_recipient(text) IS
    'Internal: true, or raises BF001 unless the text can be the name of a recipient.';
--- end ---

--- functions/require_stored.sql ---
CREATE OR REPLACE FUNCTION belfry.require_stored(source regclass, named text) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    virtual name;
BEGIN
    -- From PostgreSQL 18 on. Any mention will do: to refuse one too many is a nuisance, to send NULLs a fault.
    SELECT a.attname INTO virtual FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = require_stored.source AND a.attgenerated = 'v'
        AND require_stored.named ~* format('\m%s\M', regexp_replace(a.attname, '\W', '\\\&', 'g'));
    PERFORM belfry.require_watch(
        virtual IS NULL, 'source', format('Its column %s is generated and virtual: a trigger sees NULL.', virtual),
        'Make the column STORED, or write its expression in its place.');
END
$$;
COMMENT ON FUNCTION belfry.require_stored(regclass, text) IS
    'Internal: raises BF013 where the text names a column of the table that is generated and virtual.';
--- end ---

--- functions/require_topic.sql ---
CREATE OR REPLACE FUNCTION belfry.require_topic(topic text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF char_length(require_topic.topic) BETWEEN 1 AND 255
        AND require_topic.topic !~ '[\u0001-\u001F\u007F-\u009F/]' THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF002', COLUMN = 'topic',
        MESSAGE = 'this is not a topic',
        DETAIL = CASE
            WHEN require_topic.topic IS NULL THEN 'It is NULL.'
            WHEN char_length(require_topic.topic) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_topic.topic))
            ELSE format('It contains "/" or a control character: %s.', to_json(require_topic.topic))
        END,
        HINT = 'A topic is 1 to 255 characters without "/" and control characters, such as team:7; * is everyone.';
END
$$;
COMMENT ON FUNCTION belfry.require_topic(text) IS
    'Internal: true, or raises BF002 unless the text can be the name of a topic.';
--- end ---

--- functions/reschedule.sql ---
CREATE OR REPLACE FUNCTION belfry.reschedule(id bigint, deliver_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_argument(
        reschedule.deliver_at IS NOT NULL, 'deliver_at', 'It is NULL.', 'Give a time; belfry.retract cancels.');
    IF NOT isfinite(reschedule.deliver_at) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006', COLUMN = 'deliver_at',
            MESSAGE = 'deliver_at is no time',
            DETAIL = format('deliver_at is %s.', reschedule.deliver_at),
            HINT = 'Give a time; belfry.retract cancels.';
    END IF;
    UPDATE belfry.scheduled SET deliver_at = reschedule.deliver_at
    WHERE scheduled.number = -greatest(reschedule.id, -9223372036854775807);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION belfry.reschedule(bigint, timestamptz) IS
    'Delivers a scheduled notification, by the negative number that send returned, at another time; at once when that is '
    'past. Returns whether it was still scheduled. BF006 for an infinite time.';
--- end ---

--- functions/retract.sql ---
CREATE OR REPLACE FUNCTION belfry.retract(id bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF retract.id < 0 THEN
        DELETE FROM belfry.scheduled WHERE scheduled.number = -greatest(retract.id, -9223372036854775807);
        RETURN FOUND;
    END IF;
    -- The row first, so that the changes of one notification are in the order of their commits.
    UPDATE belfry.notification SET ended_at = now()
    WHERE notification.id = retract.id AND belfry.alive(notification.ended_at, notification.expires_at);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
    SELECT n.recipient, n.topic, n.tenant, 'retracted', ARRAY[n.id] FROM belfry.notification AS n WHERE n.id = retract.id;
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.retract(bigint) IS
    'Withdraws a notification from every inbox, count and stream, or cancels a scheduled one by the negative number that '
    'send returned. Returns whether there was one.';
--- end ---

--- functions/revise.sql ---
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
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
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
--- end ---

--- functions/set_preference.sql ---
CREATE OR REPLACE FUNCTION belfry.set_preference(recipient text, kind text, enabled boolean) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    present boolean;
    taken bigint;
BEGIN
    PERFORM belfry.require_kind(set_preference.kind, true);
    IF set_preference.enabled IS FALSE AND EXISTS (
        SELECT FROM belfry.kind WHERE kind.kind = set_preference.kind AND kind.until IS NULL AND kind.required) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF011', COLUMN = 'kind',
            MESSAGE = 'this kind cannot be muted',
            DETAIL = format('The kind "%s" is declared as required.', set_preference.kind),
            HINT = 'Leave it on; belfry.declare_kind says what is required.';
    END IF;
    PERFORM belfry.enter(set_preference.recipient);
    SELECT preference.enabled INTO present FROM belfry.preference
    WHERE preference.recipient = set_preference.recipient AND preference.kind = set_preference.kind
        AND preference.until IS NULL;
    IF present IS NOT DISTINCT FROM set_preference.enabled THEN
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (recipient, verb, kind, enabled)
    VALUES (set_preference.recipient, 'preference', set_preference.kind, set_preference.enabled)
    RETURNING change.id INTO taken;
    UPDATE belfry.preference SET until = taken
    WHERE preference.recipient = set_preference.recipient AND preference.kind = set_preference.kind
        AND preference.until IS NULL;
    IF set_preference.enabled IS NOT NULL THEN
        INSERT INTO belfry.preference (recipient, kind, since, enabled)
        VALUES (set_preference.recipient, set_preference.kind, taken, set_preference.enabled);
    END IF;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.set_preference(text, text, boolean) IS
    'Switches a kind on or off for the recipient, NULL goes back to the default; the kind * stands for all without a '
    'choice of their own. Concerns what is sent with a higher id: a muted notification is in no list, no count and no '
    'stream. Returns the position of the change, or NULL when nothing changes. BF011 for a required kind.';
--- end ---

--- functions/set_traits.sql ---
CREATE OR REPLACE FUNCTION belfry.set_traits(recipient text, traits jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    wanted text[];
    present text[];
    gained text[];
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM belfry.require_recipient(set_traits.recipient);
    PERFORM belfry.require_argument(
        jsonb_typeof(set_traits.traits) = 'object', 'traits', 'It is no JSON object.',
        'Give an object such as {"plan": "pro"}; {} for none.');
    -- Shared among those who set traits, exclusive for who defines a segment; then one after another for the same person.
    PERFORM pg_advisory_xact_lock_shared(1111837766, 4);
    INSERT INTO belfry.traits AS known (recipient, traits) VALUES (set_traits.recipient, set_traits.traits)
    ON CONFLICT ON CONSTRAINT traits_pkey DO UPDATE SET traits = excluded.traits;
    wanted := ARRAY(
        SELECT 'segment:' || segment.name FROM belfry.segment WHERE set_traits.traits @> segment.filter ORDER BY 1);
    present := ARRAY(
        SELECT s.topic FROM belfry.subscription AS s
        WHERE s.recipient = set_traits.recipient AND s.topic LIKE 'segment:%' AND s.until IS NULL);
    gained := ARRAY(SELECT topic FROM unnest(wanted) AS topic WHERE topic <> ALL (present));
    lost := ARRAY(SELECT topic FROM unnest(present) AS topic WHERE topic <> ALL (wanted));
    IF gained <> '{}' THEN
        PERFORM belfry.enroll(array_fill(set_traits.recipient, ARRAY[cardinality(gained)]), gained);
    END IF;
    IF lost <> '{}' THEN
        PERFORM belfry.dismiss(array_fill(set_traits.recipient, ARRAY[cardinality(lost)]), lost);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.set_traits(text, jsonb) IS
    'Says what a recipient is, as a JSON object that replaces what was said before; their segments follow at once, live '
    'streams too. Under READ COMMITTED alone: BF012.';
--- end ---

--- functions/settle.sql ---
CREATE OR REPLACE FUNCTION belfry.settle(through bigint, epoch text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    present belfry.settled;
    free boolean;
BEGIN
    -- A row that another is writing is left to it: the next call comes within a second.
    PERFORM FROM belfry.settled WHERE settled.through < settle.through FOR UPDATE SKIP LOCKED;
    free := FOUND;
    SELECT * INTO present FROM belfry.settled;
    IF present.epoch IS DISTINCT FROM settle.epoch THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF008',
            MESSAGE = 'this epoch is not the present one',
            DETAIL = format('The database is in the epoch %s, the caller in %s.',
                to_json(present.epoch), coalesce(to_json(settle.epoch)::text, 'NULL')),
            HINT = 'Forget head and gaps and begin anew with the epoch in belfry.settled.';
    ELSIF settle.through IS NULL OR settle.through > belfry.last_position() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF009',
            MESSAGE = 'nothing can be settled above the sequence',
            DETAIL = format('through is %s, belfry.position stands at %s.',
                coalesce(settle.through::text, 'NULL'), belfry.last_position()),
            HINT = 'The database went back to an earlier state: call belfry.new_epoch with the epoch that you know.';
    ELSIF NOT free THEN
        RETURN present.through;
    END IF;
    UPDATE belfry.settled SET through = settle.through;
    RETURN settle.through;
END
$$;
COMMENT ON FUNCTION belfry.settle(bigint, text) IS
    'For relays: records that nothing is open at or below through, and returns what is recorded, which never goes down. '
    'Refuses another epoch (BF008) and a through above the sequence (BF009). Waits for nobody.';

CREATE OR REPLACE FUNCTION belfry.settle() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    -- First: who took an id at or below it either still holds the lock that is looked for next, or has ended.
    taken CONSTANT bigint := belfry.last_position();
    own CONSTANT text := (
        SELECT pg_locks.virtualtransaction FROM pg_catalog.pg_locks
        WHERE pg_locks.pid = pg_backend_pid() AND pg_locks.locktype = 'virtualxid' LIMIT 1);
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks
        WHERE pg_locks.locktype = 'relation' AND pg_locks.mode = 'RowExclusiveLock' AND pg_locks.granted
            AND pg_locks.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
            AND pg_locks.relation IN ('belfry.notification'::regclass, 'belfry.change'::regclass)
            AND pg_locks.virtualtransaction <> own
    ) THEN
        PERFORM FROM belfry.settled WHERE settled.through < taken FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            UPDATE belfry.settled SET through = taken;
        END IF;
    END IF;
    RETURN (SELECT settled.through FROM belfry.settled);
END
$$;
COMMENT ON FUNCTION belfry.settle() IS
    'For an app without a relay: when no other transaction has written a notification or change and is still open, '
    'records that nothing is open at or below the last id taken. Returns what is recorded. Waits for nobody.';
--- end ---

--- functions/snooze.sql ---
CREATE OR REPLACE FUNCTION belfry.snooze(
    recipient text, ids bigint[], until timestamptz, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_argument(
        snooze.until > now() AND isfinite(snooze.until), 'until',
        format('It is %s.', coalesce(to_json(snooze.until)::text, 'NULL')),
        'Give a time in the future, such as now() + interval ''1 hour''.');
    RETURN belfry.mark(snooze.recipient, 'snoozed', snooze.ids, snooze.until, snooze.tenant, snooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.snooze(text, bigint[], timestamptz, text, text[]) IS
    'Takes notifications of the recipient out of list and counts until a time in the future, when they return unread '
    'and unseen (belfry.deliver_due brings them back live). Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/subscribe.sql ---
CREATE OR REPLACE FUNCTION belfry.subscribe(recipient text, topic text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    taken bigint;
BEGIN
    PERFORM belfry.require_recipient(subscribe.recipient);
    PERFORM belfry.require_topic(subscribe.topic);
    IF subscribe.topic = '*' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'nobody subscribes to *',
            DETAIL = 'The topic * reaches everyone.',
            HINT = 'Subscribe to a topic of your own, such as team:7.';
    END IF;
    IF subscribe.topic LIKE 'segment:%' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'the subscriptions of a segment follow from traits',
            DETAIL = format('The topic is %s.', to_json(subscribe.topic)),
            HINT = 'Call belfry.set_traits or belfry.define_segment, or choose a topic without the prefix segment:.';
    END IF;
    -- Before the id is taken, so that the ids of one pair are in the order of their commits.
    PERFORM pg_advisory_xact_lock(1111837767, hashtext(subscribe.recipient || '/' || subscribe.topic));
    IF EXISTS (
        SELECT FROM belfry.subscription
        WHERE subscription.recipient = subscribe.recipient AND subscription.topic = subscribe.topic
            AND subscription.until IS NULL
    ) THEN
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (recipient, topic, verb)
    VALUES (subscribe.recipient, subscribe.topic, 'subscribed')
    RETURNING change.id INTO taken;
    -- Conflicts only when a snapshot older than the lock hid an open stay; then this raises 40001, not 23505.
    INSERT INTO belfry.subscription (recipient, topic, since)
    VALUES (subscribe.recipient, subscribe.topic, taken)
    ON CONFLICT (recipient, topic) WHERE until IS NULL DO NOTHING;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.subscribe(text, text) IS
    'Subscribes the recipient to the topic inside the caller''s transaction: what is published there with a higher id '
    'reaches them, live streams at once. Returns the position of the change, or NULL when they are subscribed already. '
    'Two callers for the same pair wait for each other; under REPEATABLE READ the second may get 40001: repeat it.';
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

--- functions/unarchive.sql ---
CREATE OR REPLACE FUNCTION belfry.unarchive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(unarchive.recipient, 'unarchived', unarchive.ids, NULL, unarchive.tenant, unarchive.topics);
END
$$;
COMMENT ON FUNCTION belfry.unarchive(text, bigint[], text, text[]) IS
    'Takes notifications of the recipient back out of the archive. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/unread_since.sql ---
CREATE OR REPLACE FUNCTION belfry.unread_since(
    age interval,
    kind text DEFAULT NULL,
    after_id bigint DEFAULT 0,
    after_recipient text DEFAULT '',
    max_rows integer DEFAULT 1000
) RETURNS TABLE (
    id bigint, recipient text, sent_kind text, title text, body text, action_url text, data jsonb, created_at timestamptz
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' SET plan_cache_mode = 'force_generic_plan'
    SET jit = 'off'
AS $$
DECLARE
    sent belfry.notification;
    batch CONSTANT integer := 1000;
    place bigint := greatest(unread_since.after_id, 1) - 1; -- up to there it is done
    judged integer;
    missing integer := unread_since.max_rows;
    found integer;
BEGIN
    PERFORM belfry.require_argument(
        unread_since.age IS NOT NULL, 'age', 'It is NULL.', 'Give how long ago, such as interval ''1 hour''.');
    PERFORM belfry.require_argument(
        unread_since.after_id IS NOT NULL, 'after_id', 'It is NULL.', 'Give the id of the last row, or 0 to begin.');
    PERFORM belfry.require_argument(
        unread_since.after_recipient IS NOT NULL, 'after_recipient', 'It is NULL.',
        'Give the recipient of the last row, or an empty text to begin.');
    PERFORM belfry.require_argument(
        unread_since.max_rows >= 1, 'max_rows', format('It is %s.', coalesce(unread_since.max_rows::text, 'NULL')),
        'Give 1 or more, or leave it out for 1000.');
    IF unread_since.kind IS NOT NULL THEN
        PERFORM belfry.require_kind(unread_since.kind, false);
    END IF;
    LOOP
        judged := 0;
        FOR sent IN
            SELECT n.* FROM belfry.notification AS n
            WHERE n.id > place AND n.created_at <= now() - unread_since.age
                AND (unread_since.kind IS NULL OR n.kind = unread_since.kind) AND belfry.alive(n.ended_at, n.expires_at)
            ORDER BY n.id LIMIT batch -- hence along the index
        LOOP
            place := sent.id;
            judged := judged + 1;
            -- First what one person was sent and has read, since that is most of what is old.
            CONTINUE WHEN sent.recipient IS NOT NULL AND coalesce(
                (SELECT c.read_at < 'infinity' FROM belfry.receipt AS c
                 WHERE c.recipient = sent.recipient AND c.notification_id = sent.id),
                (SELECT sent.id <= i.read_through FROM belfry.inbox AS i WHERE i.recipient = sent.recipient));
            -- In order before they are judged: a page costs a page, however many are in the topic.
            RETURN QUERY
            SELECT sent.id, reader.recipient, sent.kind, sent.title, sent.body, sent.action_url, sent.data, sent.created_at
            FROM (
                SELECT reached.recipient FROM (
                    SELECT sent.recipient WHERE sent.recipient IS NOT NULL
                    UNION ALL
                    SELECT s.recipient FROM belfry.subscription AS s
                    WHERE sent.topic IS NOT NULL AND s.topic = sent.topic AND s.since < sent.id
                        AND (s.until IS NULL OR sent.id < s.until)
                    UNION ALL
                    SELECT i.recipient FROM belfry.inbox AS i WHERE sent.topic = '*' AND i.since < sent.id
                ) AS reached
                WHERE sent.id > unread_since.after_id OR reached.recipient COLLATE "C" > unread_since.after_recipient
                ORDER BY reached.recipient COLLATE "C"
                OFFSET 0
            ) AS reader
            CROSS JOIN LATERAL belfry.mailbox(reader.recipient) AS box
            LEFT JOIN LATERAL (
                SELECT * FROM belfry.receipt
                WHERE receipt.recipient = reader.recipient AND receipt.notification_id = sent.id OFFSET 0) AS c ON true
            WHERE NOT belfry.muted(sent.id, sent.kind, box.kinds, box.ranges)
                AND NOT coalesce(c.read_at < 'infinity', sent.id <= box.read_through)
                AND NOT coalesce(c.archived_at < 'infinity', sent.id <= box.archived_through)
                AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            ORDER BY reader.recipient COLLATE "C"
            LIMIT missing;
            GET DIAGNOSTICS found = ROW_COUNT;
            missing := missing - found;
            EXIT WHEN missing = 0;
        END LOOP;
        EXIT WHEN missing = 0 OR judged < batch;
    END LOOP;
END
$$;
COMMENT ON FUNCTION belfry.unread_since(interval, text, bigint, text, integer) IS
    'Who still has what unread that was sent at least so long ago: for an application''s own e-mail. A page ordered by id '
    'and recipient; the last row''s id and recipient are after_id and after_recipient of the next. From a cron job: keep '
    'those two and go on from them, and nobody is mailed twice. What commits late with a lower id is passed over then, so '
    'choose an age longer than your longest transaction.';
--- end ---

--- functions/unsnooze.sql ---
CREATE OR REPLACE FUNCTION belfry.unsnooze(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(unsnooze.recipient, 'unsnoozed', unsnooze.ids, NULL, unsnooze.tenant, unsnooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.unsnooze(text, bigint[], text, text[]) IS
    'Ends the snooze of notifications of the recipient now, as if it were due: they return unread and unseen. Returns '
    'how many changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics '
    'narrow.';
--- end ---

--- functions/unsubscribe.sql ---
CREATE OR REPLACE FUNCTION belfry.unsubscribe(recipient text, topic text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM belfry.require_recipient(unsubscribe.recipient);
    PERFORM belfry.require_topic(unsubscribe.topic);
    IF unsubscribe.topic LIKE 'segment:%' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'the subscriptions of a segment follow from traits',
            DETAIL = format('The topic is %s.', to_json(unsubscribe.topic)),
            HINT = 'Call belfry.set_traits or belfry.define_segment, or choose a topic without the prefix segment:.';
    END IF;
    -- Before the id is taken, so that the ids of one pair are in the order of their commits.
    PERFORM pg_advisory_xact_lock(1111837767, hashtext(unsubscribe.recipient || '/' || unsubscribe.topic));
    IF NOT EXISTS (
        SELECT FROM belfry.subscription
        WHERE subscription.recipient = unsubscribe.recipient AND subscription.topic = unsubscribe.topic
            AND subscription.until IS NULL
    ) THEN
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (recipient, topic, verb)
    VALUES (unsubscribe.recipient, unsubscribe.topic, 'unsubscribed')
    RETURNING change.id INTO taken;
    UPDATE belfry.subscription SET until = taken
    WHERE subscription.recipient = unsubscribe.recipient AND subscription.topic = unsubscribe.topic
        AND subscription.until IS NULL;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.unsubscribe(text, text) IS
    'Ends the recipient''s subscription to the topic inside the caller''s transaction; what was sent until then stays '
    'theirs. Returns the position of the change, or NULL when they are not subscribed. '
    'Two callers for the same pair wait for each other; under REPEATABLE READ the second may get 40001: repeat it.';
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

--- functions/within_limits.sql ---
CREATE OR REPLACE FUNCTION belfry.within_limits(given belfry.notification) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    names CONSTANT text := concat(given.recipient, given.topic, given.tenant, given.kind);
BEGIN
    -- Enough for nearly every notification, and with the fewest steps, because every sender pays for each.
    IF num_nulls(given.recipient, given.topic) = 1
        AND coalesce(given.recipient, given.topic) <> ''
        AND names !~ '[\u0001-\u001F\u007F-\u009F/]'
        AND given.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$'
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
    RETURN belfry.require_notification(
        given.recipient, given.topic, given.tenant, given.kind, given.title, given.body, given.data, given.action_url,
        given.actions, given.actor, given.tags, given.severity, given.dedupe_key, given.group_key);
END
$$;
COMMENT ON FUNCTION belfry.within_limits(belfry.notification) IS
    'Internal: the CHECK of the table. True, or raises what belfry.require_notification raises. It takes the row as a '
    'whole, because Postgres reads the text of a CHECK anew for each INSERT, and fourteen columns are much text.';
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
    belfry.settle(), belfry.deposit, belfry.within_limits, belfry.require_notification, belfry.require_recipient,
    belfry.require_topic
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

DELETE FROM belfry.migration WHERE version = 14;
SET LOCAL ROLE NONE;
