-- Brings back what was before 0006_corrections.
-- Locks: none; a replaced function locks no table. Takes an instant.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

--- functions/declare_kind.sql ---
CREATE OR REPLACE FUNCTION belfry.declare_kind(
    kind text, label text DEFAULT '', required boolean DEFAULT false, enabled boolean DEFAULT true
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
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
    INSERT INTO belfry.kind (kind, since, label, required, enabled)
    VALUES (declare_kind.kind, taken, declare_kind.label, declare_kind.required, declare_kind.enabled);
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
    gained := ARRAY(
        SELECT t.recipient FROM belfry.traits AS t WHERE t.traits @> define_segment.filter AND NOT EXISTS (
            SELECT FROM belfry.subscription AS s
            WHERE s.recipient = t.recipient AND s.topic = its_topic AND s.until IS NULL));
    lost := ARRAY(
        SELECT s.recipient FROM belfry.subscription AS s WHERE s.topic = its_topic AND s.until IS NULL
            AND NOT EXISTS (SELECT FROM belfry.traits AS t
                WHERE t.recipient = s.recipient AND t.traits @> define_segment.filter));
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
BEGIN
    IF define_segment.filter ~ '^\s*\{' THEN
        PERFORM belfry.define_segment(define_segment.name, define_segment.filter::jsonb);
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
    'The same with the filter as text: plan:pro,role:admin.';
--- end ---

--- functions/deliver_due.sql ---
CREATE OR REPLACE FUNCTION belfry.deliver_due(max_rows integer DEFAULT 1000) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.deliver_scheduled(deliver_due.max_rows) + belfry.end_snoozes(deliver_due.max_rows)
        + belfry.end_expired(deliver_due.max_rows);
END
$$;
COMMENT ON FUNCTION belfry.deliver_due(integer) IS
    'Does what is due: scheduled notifications are sent with an id of this moment, snoozes end, expired notifications '
    'leave. At most max_rows of each; returns how many in all. Relays call it every second; without a relay call it from '
    'cron. Several callers at once do each thing once, and wait for nobody.';
--- end ---

--- functions/deliver_scheduled.sql ---
CREATE OR REPLACE FUNCTION belfry.deliver_scheduled(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    done integer;
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell.
    IF NOT EXISTS (SELECT FROM belfry.scheduled WHERE scheduled.deliver_at <= now()) THEN
        RETURN 0;
    END IF;
    WITH due AS (
        DELETE FROM belfry.scheduled WHERE scheduled.number IN (
            SELECT s.number FROM belfry.scheduled AS s WHERE s.deliver_at <= now()
            ORDER BY s.deliver_at, s.number LIMIT deliver_scheduled.max_rows FOR UPDATE SKIP LOCKED)
        RETURNING *
    ), sent AS (
        -- What was sent in between with the same dedupe_key stands for it; what has expired is not sent.
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at)
        SELECT recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at
        FROM due WHERE belfry.alive(NULL, due.expires_at) ORDER BY due.deliver_at, due.number
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO done FROM due;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.deliver_scheduled(integer) IS
    'Internal: the scheduled notifications of belfry.deliver_due.';
--- end ---

--- functions/end_expired.sql ---
CREATE OR REPLACE FUNCTION belfry.end_expired(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    done integer;
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell.
    IF NOT EXISTS (
        SELECT FROM belfry.notification AS old WHERE old.expires_at <= now() AND old.ended_at IS NULL) THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        UPDATE belfry.notification AS n SET ended_at = now() WHERE n.id IN (
            SELECT old.id FROM belfry.notification AS old WHERE old.expires_at <= now() AND old.ended_at IS NULL
            ORDER BY old.expires_at LIMIT end_expired.max_rows FOR UPDATE SKIP LOCKED)
        RETURNING n.id, n.recipient, n.topic, n.tenant
    ), told AS (
        INSERT INTO belfry.change (recipient, topic, tenant, verb, ids)
        SELECT gone.recipient, gone.topic, gone.tenant, 'expired', ARRAY[gone.id] FROM gone ORDER BY gone.id
    )
    SELECT count(*) INTO done FROM gone;
    RETURN done;
END
$$;
COMMENT ON FUNCTION belfry.end_expired(integer) IS
    'Internal: the expired notifications of belfry.deliver_due.';
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
        PERFORM FROM belfry.inbox WHERE inbox.recipient = reader FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        due := ARRAY(
            SELECT receipt.notification_id FROM belfry.receipt
            WHERE receipt.recipient = reader AND receipt.snoozed_until <= now()
            ORDER BY receipt.notification_id LIMIT end_snoozes.max_rows);
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

--- functions/forget_idempotency.sql ---
CREATE OR REPLACE FUNCTION belfry.forget_idempotency(age interval DEFAULT '1 day') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM belfry.idempotency WHERE idempotency.created_at < now() - forget_idempotency.age;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION belfry.forget_idempotency(interval) IS
    'For relays: forgets the answers to requests that are older than that; returns how many.';
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
        SELECT item.recipient, item.topic, item.kind, coalesce(item.title, ''), coalesce(item.body, ''),
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
    'fields of belfry.send and created_at, and for a recipient seen_at, read_at, archived_at. Silent: no stream shows '
    'them as new; a change "delivered" lets badges follow. Returns the ids in order.';
--- end ---

--- functions/retract.sql ---
CREATE OR REPLACE FUNCTION belfry.retract(id bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    IF retract.id < 0 THEN
        DELETE FROM belfry.scheduled WHERE scheduled.number = -retract.id;
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
        WHERE s.number = -revise.id;
        RETURN FOUND;
    END IF;
    UPDATE belfry.notification AS n SET
        title = coalesce(revise.title, n.title), body = coalesce(revise.body, n.body),
        data = coalesce(revise.data, n.data), action_url = coalesce(revise.action_url, n.action_url),
        actions = coalesce(revise.actions, n.actions), actor = coalesce(revise.actor, n.actor),
        tags = coalesce(revise.tags, n.tags), severity = coalesce(revise.severity, n.severity),
        expires_at = coalesce(revise.expires_at, n.expires_at), revised_at = now()
    WHERE n.id = revise.id AND belfry.alive(n.ended_at, n.expires_at);
    IF NOT FOUND THEN
        RETURN false;
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
    PERFORM belfry.require_recipient(trace.recipient);
    SELECT * INTO n FROM belfry.notification WHERE notification.id = trace.id;
    settled := trace.id <= (SELECT through FROM belfry.settled);
    IF n.id IS NULL THEN
        verdict := CASE
            WHEN trace.id < 0 AND EXISTS (SELECT FROM belfry.scheduled WHERE scheduled.number = -trace.id)
                THEN 'It is scheduled and has not been delivered yet.'
            WHEN trace.id <= (SELECT pruned FROM belfry.settled) THEN 'It may have been there: retention has removed it.'
            WHEN trace.id > belfry.last_position() OR trace.id <= 0 THEN 'No notification ever had this id.'
            WHEN settled THEN 'There is none: the transaction that took this id was rolled back, or it is a change.'
            ELSE 'There is none yet: the transaction that took this id is open, or was rolled back.'
        END;
        RETURN;
    END IF;
    box := belfry.mailbox(trace.recipient);
    audience := CASE WHEN n.recipient IS NULL THEN 'topic ' || n.topic ELSE 'recipient ' || n.recipient END;
    sent_at := n.created_at;
    ended_at := n.ended_at;
    expires_at := n.expires_at;
    first_contact := box.since;
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
    'Why a recipient did or did not get a notification: its audience, their stay at that position, first contact, '
    'preference, state, and a sentence. settled: nothing at or below its id can still commit.';
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
        AND c.snoozed_until IS NULL
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

DELETE FROM belfry.migration WHERE version = 6;
SET LOCAL ROLE NONE;
