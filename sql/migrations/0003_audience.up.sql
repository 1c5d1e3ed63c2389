-- The audience: preferences and kinds, segments from traits, scheduled delivery, revising, retracting, importing, tracing.
-- Locks: only what it creates; a replaced function locks no table. Takes an instant.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

CREATE TABLE belfry.scheduled (
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT scheduled_pkey PRIMARY KEY,
    deliver_at timestamptz NOT NULL,
    recipient text,
    topic text,
    tenant text NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    data jsonb NOT NULL,
    action_url text,
    actions jsonb NOT NULL,
    actor jsonb,
    tags text[] NOT NULL,
    severity text NOT NULL,
    dedupe_key text,
    group_key text,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT scheduled_limits CHECK (belfry.require_notification(
        recipient, topic, tenant, kind, title, body, data, action_url, actions, actor, tags, severity, dedupe_key,
        group_key))
);
CREATE INDEX scheduled_due_idx ON belfry.scheduled (deliver_at, number);
CREATE UNIQUE INDEX scheduled_dedupe_idx ON belfry.scheduled (dedupe_key, coalesce(recipient, topic), (topic IS NULL))
    WHERE dedupe_key IS NOT NULL;
COMMENT ON TABLE belfry.scheduled IS
    'Notifications with a deliver_at in the future: belfry.deliver_due sends them, with an id of that moment.';
COMMENT ON COLUMN belfry.scheduled.number IS
    'belfry.send returns it as a negative number, by which it is revised and retracted until then.';
COMMENT ON COLUMN belfry.scheduled.deliver_at IS 'From then on it is due.';
COMMENT ON COLUMN belfry.scheduled.tenant IS 'This and all that follow: as in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.kind IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.data IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.action_url IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.actions IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.actor IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.tags IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.severity IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.dedupe_key IS 'As in belfry.notification; one for what is scheduled and what was sent.';
COMMENT ON COLUMN belfry.scheduled.group_key IS 'As in belfry.notification.';
COMMENT ON COLUMN belfry.scheduled.expires_at IS 'As in belfry.notification: what has expired when it is due is not sent.';
COMMENT ON SEQUENCE belfry.scheduled_number_seq IS 'The numbers of what is scheduled; no positions.';

CREATE TABLE belfry.traits (
    recipient text
        CONSTRAINT traits_pkey PRIMARY KEY
        CONSTRAINT traits_recipient CHECK (belfry.require_recipient(recipient)),
    traits jsonb NOT NULL CONSTRAINT traits_object CHECK (jsonb_typeof(traits) = 'object')
);
CREATE INDEX traits_contents_idx ON belfry.traits USING gin (traits jsonb_path_ops);
COMMENT ON TABLE belfry.traits IS 'What recipients are, as far as segments ask.';
COMMENT ON COLUMN belfry.traits.traits IS 'A JSON object such as {"plan": "pro"}.';

CREATE TABLE belfry.segment (
    name text CONSTRAINT segment_pkey PRIMARY KEY,
    filter jsonb NOT NULL CONSTRAINT segment_filter CHECK (jsonb_typeof(filter) = 'object')
);
COMMENT ON TABLE belfry.segment IS
    'Topics named segment:<name> whose subscriptions are kept by belfry.set_traits and define_segment.';
COMMENT ON COLUMN belfry.segment.filter IS 'What the traits of its recipients contain (the operator @>).';

CREATE TABLE belfry.idempotency (
    api_key text,
    key text CONSTRAINT idempotency_key CHECK (char_length(key) BETWEEN 1 AND 255),
    digest text NOT NULL,
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_pkey PRIMARY KEY (api_key, key)
);
CREATE INDEX idempotency_created_idx ON belfry.idempotency (created_at);
COMMENT ON TABLE belfry.idempotency IS
    'Answers to POST /v1/notifications that came with an Idempotency-Key, kept for a day. Relays write it.';
COMMENT ON COLUMN belfry.idempotency.api_key IS 'The name of the API key that asked.';
COMMENT ON COLUMN belfry.idempotency.key IS 'The Idempotency-Key.';
COMMENT ON COLUMN belfry.idempotency.digest IS 'SHA-256 of the body: another body with the same key is refused.';
COMMENT ON COLUMN belfry.idempotency.answer IS 'What was answered.';

ALTER TABLE belfry.api_key ADD CONSTRAINT api_key_scopes CHECK (scopes <@ ARRAY['send', 'manage']) NOT VALID;
COMMENT ON COLUMN belfry.api_key.scopes IS 'What it may do: send, manage.';

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

--- functions/require_read_committed.sql ---
CREATE OR REPLACE FUNCTION belfry.require_read_committed() RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF012',
            MESSAGE = 'segments are kept under READ COMMITTED alone',
            DETAIL = format('This transaction is %s: it may not see a segment, or who has traits, that was committed since '
                'it began.', upper(current_setting('transaction_isolation'))),
            HINT = 'Call it in a transaction of its own: BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_read_committed() IS
    'Internal: raises BF012 where a snapshot of the whole transaction could leave somebody out of a segment for good.';
--- end ---

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

--- functions/dismiss.sql ---
CREATE OR REPLACE FUNCTION belfry.dismiss(recipients text[], topics text[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WITH taken AS (
        INSERT INTO belfry.change (recipient, topic, verb)
        SELECT pair.recipient, pair.topic, 'unsubscribed'
        FROM unnest(dismiss.recipients, dismiss.topics) AS pair (recipient, topic)
        RETURNING change.id, change.recipient, change.topic
    )
    UPDATE belfry.subscription AS s SET until = taken.id FROM taken
    WHERE s.recipient = taken.recipient AND s.topic = taken.topic AND s.until IS NULL;
END
$$;
COMMENT ON FUNCTION belfry.dismiss(text[], text[]) IS
    'Internal: ends the subscription of each recipient to the topic at the same place, in one statement; for segments.';
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

--- functions/enroll.sql ---
CREATE OR REPLACE FUNCTION belfry.enroll(recipients text[], topics text[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WITH taken AS (
        INSERT INTO belfry.change (recipient, topic, verb)
        SELECT pair.recipient, pair.topic, 'subscribed'
        FROM unnest(enroll.recipients, enroll.topics) AS pair (recipient, topic)
        RETURNING change.id, change.recipient, change.topic
    )
    INSERT INTO belfry.subscription (recipient, topic, since) SELECT taken.recipient, taken.topic, taken.id FROM taken;
END
$$;
COMMENT ON FUNCTION belfry.enroll(text[], text[]) IS
    'Internal: subscribes each recipient to the topic at the same place, in one statement; for segments.';
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
    belfry.deliver_due
TO belfry_sender;

-- A relay reads everything and writes only first contacts, what is settled, and epochs, by function.
-- It is a member of belfry_sender too, for POST /v1/notifications.
GRANT SELECT ON ALL TABLES IN SCHEMA belfry TO belfry_relay;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_relay;
GRANT EXECUTE ON FUNCTION
    belfry.contact, belfry.badges, belfry.settle(bigint, text), belfry.ensure_epoch, belfry.new_epoch,
    belfry.last_position, belfry.forget_idempotency
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
GRANT SELECT ON SEQUENCE belfry.position, belfry.scheduled_number_seq TO belfry_monitor;
GRANT EXECUTE ON FUNCTION belfry.last_position TO belfry_monitor;
--- end ---

INSERT INTO belfry.migration (version, name) VALUES (3, 'audience');
SET LOCAL ROLE NONE;
