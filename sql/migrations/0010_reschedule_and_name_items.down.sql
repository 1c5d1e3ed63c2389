-- Brings back what was before 0010_reschedule_and_name_items.
-- Locks: none; a replaced function locks no table. Takes an instant.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

DROP FUNCTION belfry.reschedule(bigint, timestamptz);
DROP FUNCTION belfry.require_items(jsonb);
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
        define_segment.filter <> '' AND NOT EXISTS (SELECT FROM unnest(pairs) AS pair WHERE pair !~ '^\s*[^:\s]+\s*:\s*\S'),
        'filter', 'It is neither a JSON object nor trait:value pairs.', 'Give for example plan:pro,role:admin.');
    PERFORM belfry.define_segment(define_segment.name, (
        SELECT jsonb_object_agg(btrim(split_part(pair, ':', 1)), btrim(substr(pair, strpos(pair, ':') + 1)))
        FROM unnest(pairs) AS pair));
END
$$;
COMMENT ON FUNCTION belfry.define_segment(text, text) IS
    'The same with the filter as text: plan:pro,role:admin, whose values are texts, or a JSON object.';
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
    -- First, as whoever changes this recipient's state does: they wait, and then find nothing.
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
    DELETE FROM belfry.subscription WHERE subscription.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.preference WHERE preference.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.traits WHERE traits.recipient = erase.recipient;
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
            nullif(item.actor, 'null'), coalesce(item.tags, '{}'), coalesce(item.severity, 'info'), coalesce(item.tenant, ''), item.dedupe_key,
            item.group_key, item.expires_at, coalesce(item.created_at, now()), true,
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
    RETURN QUERY SELECT unnest(taken);
END
$$;
COMMENT ON FUNCTION belfry.import(jsonb) IS
    'Takes over notifications from elsewhere with their times and states, all or none: at most 10000 objects with the '
    'fields of belfry.send but deliver_at, with created_at, and for a recipient seen_at, read_at, archived_at. Silent: no stream shows '
    'them as new; a change "delivered" lets badges follow. Returns the ids in order.';
--- end ---

--- functions/require_items.sql ---
--- end ---

--- functions/reschedule.sql ---
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
            ERRCODE = 'BF002',
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
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
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
    RETURN QUERY
    SELECT n.id, reader.recipient, n.kind, n.title, n.body, n.action_url, n.data, n.created_at
    FROM belfry.notification AS n
    CROSS JOIN LATERAL (
        SELECT n.recipient WHERE n.recipient IS NOT NULL
        UNION ALL
        SELECT s.recipient FROM belfry.subscription AS s
        WHERE s.topic = n.topic AND s.since < n.id AND (s.until IS NULL OR n.id < s.until)
        UNION ALL
        SELECT i.recipient FROM belfry.inbox AS i WHERE n.topic = '*' AND i.since < n.id
    ) AS reader
    CROSS JOIN LATERAL belfry.mailbox(reader.recipient) AS box
    LEFT JOIN belfry.receipt AS c ON c.recipient = reader.recipient AND c.notification_id = n.id
    WHERE n.id >= unread_since.after_id
        AND (n.id, reader.recipient COLLATE "C") > (unread_since.after_id, unread_since.after_recipient COLLATE "C")
        AND n.created_at <= now() - unread_since.age
        AND (unread_since.kind IS NULL OR n.kind = unread_since.kind)
        AND belfry.alive(n.ended_at, n.expires_at)
        AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
        AND NOT coalesce(c.read_at < 'infinity', n.id <= box.read_through)
        AND NOT coalesce(c.archived_at < 'infinity', n.id <= box.archived_through)
        AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
    ORDER BY n.id, reader.recipient COLLATE "C"
    LIMIT unread_since.max_rows;
END
$$;
COMMENT ON FUNCTION belfry.unread_since(interval, text, bigint, text, integer) IS
    'Who still has what unread that was sent at least so long ago: for an application''s own e-mail. A page ordered by id '
    'and recipient; the last row''s id and recipient are after_id and after_recipient of the next. From a cron job: keep '
    'those two and go on from them, and nobody is mailed twice. What commits late with a lower id is passed over then, so '
    'choose an age longer than your longest transaction.';
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
    belfry.require_argument, belfry.require_kind, belfry.template, belfry.watched_rows, belfry.watched_pairs, belfry.fault,
    belfry.encoded, belfry.require_stored, belfry.enter_watch, belfry.forget_watch, belfry.note_failure
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

DELETE FROM belfry.migration WHERE version = 10;
SET LOCAL ROLE NONE;
