-- The core: notifications, changes, subscriptions, and the functions that write them.
-- Locks: only what it creates itself; where roles are missing, they are created for the whole cluster.
-- Takes well under a second. Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';

-- Roles belong to the cluster: another database may have them already, or create them at this moment.
DO $$
DECLARE
    role_name text;
    may_create_roles CONSTANT boolean :=
        (SELECT rolsuper OR rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user);
    missing CONSTANT text[] := ARRAY(
        SELECT wanted.name FROM unnest(ARRAY['belfry_owner', 'belfry_sender', 'belfry_relay', 'belfry_monitor'])
            AS wanted (name)
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted.name));
BEGIN
    IF current_setting('lock_timeout') <> '2s' THEN
        RAISE EXCEPTION 'this migration must run in one transaction'
            USING HINT = 'psql --single-transaction -v ON_ERROR_STOP=1 --file 0001_core.up.sql';
    END IF;
    IF current_setting('server_encoding') = 'SQL_ASCII' THEN
        RAISE EXCEPTION 'this database has the encoding SQL_ASCII, which does not know what a character is'
            USING HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    IF NOT has_database_privilege(current_database(), 'CREATE') THEN
        RAISE EXCEPTION '% may not create a schema in this database', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = format(
                'A DBA must run: GRANT CREATE ON DATABASE %I TO %I;', current_database(), current_user);
    END IF;
    IF missing <> '{}' AND NOT may_create_roles THEN
        RAISE EXCEPTION '% may not create the roles %', current_user, array_to_string(missing, ', ')
            USING ERRCODE = 'insufficient_privilege', HINT = format('A DBA must run: %sGRANT belfry_owner TO %I; %s', (
                SELECT string_agg(format('CREATE ROLE %I NOLOGIN; ', name), '') FROM unnest(missing) AS name),
                current_user, 'GRANT belfry_sender TO belfry_relay;');
    END IF;
    FOREACH role_name IN ARRAY missing LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    BEGIN
        -- From PostgreSQL 16 on, who creates a role is its member, but may not SET ROLE to it.
        IF NOT pg_has_role(
            'belfry_owner', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)
        THEN
            EXECUTE format('GRANT belfry_owner TO %I', current_user);
        END IF;
        IF NOT pg_has_role('belfry_relay', 'belfry_sender', 'MEMBER') THEN
            GRANT belfry_sender TO belfry_relay;
        END IF;
    EXCEPTION
        WHEN unique_violation THEN
            NULL;
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% may not grant the roles of Belfry, which exist in this cluster', current_user
                USING ERRCODE = 'insufficient_privilege', HINT = format(
                    'A DBA must run: GRANT belfry_owner TO %I; GRANT belfry_sender TO belfry_relay;', current_user);
    END;
    CREATE SCHEMA belfry AUTHORIZATION belfry_owner;
END
$$;

SET LOCAL ROLE belfry_owner;

COMMENT ON SCHEMA belfry IS
    'Belfry, in-app notifications. Tables are private: apps call functions, or INSERT into belfry.notification.';

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

CREATE TABLE belfry.notification (
    id bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME belfry.position CACHE 1)
        CONSTRAINT notification_pkey PRIMARY KEY,
    recipient text,
    topic text,
    tenant text NOT NULL DEFAULT '',
    kind text NOT NULL,
    title text NOT NULL DEFAULT '',
    body text NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}',
    action_url text,
    actions jsonb NOT NULL DEFAULT '[]',
    actor jsonb,
    tags text[] NOT NULL DEFAULT '{}',
    severity text NOT NULL DEFAULT 'info',
    dedupe_key text,
    group_key text,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT notification_limits CHECK (belfry.require_notification(
        recipient, topic, tenant, kind, title, body, data, action_url, actions, actor, tags, severity, dedupe_key,
        group_key))
);
CREATE INDEX notification_recipient_idx ON belfry.notification (recipient, id) WHERE recipient IS NOT NULL;
CREATE INDEX notification_topic_idx ON belfry.notification (topic, id) WHERE topic IS NOT NULL;
CREATE UNIQUE INDEX notification_recipient_dedupe_idx ON belfry.notification (recipient, dedupe_key)
    WHERE recipient IS NOT NULL AND dedupe_key IS NOT NULL;
CREATE UNIQUE INDEX notification_topic_dedupe_idx ON belfry.notification (topic, dedupe_key)
    WHERE topic IS NOT NULL AND dedupe_key IS NOT NULL;
COMMENT ON TABLE belfry.notification IS
    'The notifications: one row each, for one recipient or one topic. A plain INSERT is as good as belfry.send.';
COMMENT ON COLUMN belfry.notification.id IS
    'The position; nothing else may call nextval without a ROW EXCLUSIVE lock on this table or belfry.change.';
COMMENT ON COLUMN belfry.notification.recipient IS 'Whom it is for, by your own user''s id; NULL when it has a topic.';
COMMENT ON COLUMN belfry.notification.topic IS 'Whose subscribers it is for, * is everyone; NULL when it has a recipient.';
COMMENT ON COLUMN belfry.notification.tenant IS 'A label that an inbox or a stream may filter by; not a wall.';
COMMENT ON COLUMN belfry.notification.kind IS 'What sort: a dotted lower-case name such as comment.created.';
COMMENT ON COLUMN belfry.notification.data IS 'Whatever your app wants to find in it: a JSON object.';
COMMENT ON COLUMN belfry.notification.action_url IS 'Where a click leads.';
COMMENT ON COLUMN belfry.notification.actions IS 'Buttons: [{name, label, url, style}].';
COMMENT ON COLUMN belfry.notification.actor IS 'Who caused it: {id, name, avatar_url}.';
COMMENT ON COLUMN belfry.notification.tags IS 'Labels to list by.';
COMMENT ON COLUMN belfry.notification.severity IS 'info, success, warning or error.';
COMMENT ON COLUMN belfry.notification.dedupe_key IS
    'One notification per recipient or topic has it: belfry.send returns the first id again, a plain INSERT gets 23505.';
COMMENT ON COLUMN belfry.notification.group_key IS 'Notifications of one key may be shown as one.';
COMMENT ON COLUMN belfry.notification.expires_at IS 'From then on it is not delivered or shown.';
COMMENT ON COLUMN belfry.notification.created_at IS 'Start of the sending transaction; the order is that of id.';
COMMENT ON CONSTRAINT notification_limits ON belfry.notification IS
    'Exactly one of recipient and topic, each 1 to 255 characters without / and control characters; kind a dotted '
    'lower-case name; severity info, success, warning or error; data and actor objects, actions an array, tags flat; '
    'keys 1 to 255 characters; title, body, data, action_url, actions, actor and tags at most 65536 bytes together.';
COMMENT ON SEQUENCE belfry.position IS
    'The one order of notifications and changes. CACHE and INCREMENT must stay 1, or relays refuse to start.';

CREATE TABLE belfry.change (
    id bigint DEFAULT nextval('belfry.position') CONSTRAINT change_pkey PRIMARY KEY,
    recipient text NOT NULL,
    topic text,
    verb text NOT NULL CONSTRAINT change_verb CHECK (verb IN ('subscribed', 'unsubscribed')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX change_recipient_idx ON belfry.change (recipient, id);
CREATE INDEX change_membership_idx ON belfry.change (id) WHERE verb IN ('subscribed', 'unsubscribed');
COMMENT ON TABLE belfry.change IS
    'What became of notifications and memberships, one row each, in one order with them. Only functions write it.';
COMMENT ON COLUMN belfry.change.id IS 'The position, from the sequence of belfry.notification.';
COMMENT ON COLUMN belfry.change.recipient IS 'Whose streams are told.';
COMMENT ON COLUMN belfry.change.topic IS 'The topic of a subscribed or unsubscribed.';
COMMENT ON COLUMN belfry.change.verb IS 'What happened: subscribed, unsubscribed.';

CREATE TABLE belfry.subscription (
    recipient text,
    topic text,
    since bigint,
    until bigint CONSTRAINT subscription_until CHECK (until > since),
    CONSTRAINT subscription_pkey PRIMARY KEY (recipient, topic, since)
);
CREATE UNIQUE INDEX subscription_open_idx ON belfry.subscription (recipient, topic) WHERE until IS NULL;
CREATE INDEX subscription_topic_idx ON belfry.subscription (topic);
COMMENT ON TABLE belfry.subscription IS
    'Memberships as intervals of positions, one row a stay: the notification i of the topic belongs to it when '
    'since < i and (until IS NULL OR i < until).';
COMMENT ON COLUMN belfry.subscription.since IS 'The id of the change subscribed.';
COMMENT ON COLUMN belfry.subscription.until IS 'The id of the change unsubscribed; NULL while it lasts.';

CREATE TABLE belfry.inbox (
    recipient text
        CONSTRAINT inbox_pkey PRIMARY KEY
        CONSTRAINT inbox_recipient CHECK (belfry.require_recipient(recipient)),
    since bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE belfry.inbox IS 'First contact with each recipient. Relays write it, senders never do.';
COMMENT ON COLUMN belfry.inbox.since IS 'A notification of the topic * is theirs when its id is above this position.';

CREATE TABLE belfry.epoch (
    token text
        CONSTRAINT epoch_pkey PRIMARY KEY
        CONSTRAINT epoch_token CHECK (token ~ '^([a-z0-9]{6})?$'),
    system_identifier bigint,
    timeline text,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE belfry.epoch IS
    'The histories of this database: positions of one mean nothing in another. The present one is in belfry.settled.';
COMMENT ON COLUMN belfry.epoch.token IS 'Random, six characters; empty for the first.';
COMMENT ON COLUMN belfry.epoch.system_identifier IS 'Of the server on which it began; NULL where that does not tell.';
COMMENT ON COLUMN belfry.epoch.timeline IS 'Of the server when it began: the first eight digits of its WAL file''s name.';

CREATE TABLE belfry.settled (
    only_row boolean DEFAULT true
        CONSTRAINT settled_pkey PRIMARY KEY
        CONSTRAINT settled_only_row CHECK (only_row),
    through bigint NOT NULL DEFAULT 0 CONSTRAINT settled_through CHECK (through >= 0),
    pruned bigint NOT NULL DEFAULT 0 CONSTRAINT settled_pruned CHECK (pruned >= 0),
    epoch text NOT NULL DEFAULT '' CONSTRAINT settled_epoch_fkey REFERENCES belfry.epoch (token)
);
CREATE INDEX settled_epoch_idx ON belfry.settled (epoch);
COMMENT ON TABLE belfry.settled IS 'How far everything is decided: one row. Only belfry.settle and new_epoch write it.';
COMMENT ON COLUMN belfry.settled.through IS 'No open transaction holds an id at or below this position.';
COMMENT ON COLUMN belfry.settled.pruned IS 'Rows at or below this position may have been removed.';
COMMENT ON COLUMN belfry.settled.epoch IS 'The present epoch.';

CREATE TABLE belfry.setting (
    name text CONSTRAINT setting_pkey PRIMARY KEY,
    value text NOT NULL,
    CONSTRAINT setting_wake_mode CHECK (name <> 'wake_mode' OR value IN ('auto', 'poll', 'notify'))
);
COMMENT ON TABLE belfry.setting IS
    'Settings that all relays of this database share; they read them every second. UPDATE is the owner''s.';
COMMENT ON CONSTRAINT setting_wake_mode ON belfry.setting IS
    'auto: NOTIFY only while relays sleep; poll: never (for two-phase commit); notify: always.';

CREATE TABLE belfry.api_key (
    name text
        CONSTRAINT api_key_pkey PRIMARY KEY
        CONSTRAINT api_key_name CHECK (char_length(name) BETWEEN 1 AND 255),
    hash text NOT NULL
        CONSTRAINT api_key_hash_key UNIQUE
        CONSTRAINT api_key_hash CHECK (hash ~ '^[0-9a-f]{64}$'),
    scopes text[] NOT NULL DEFAULT '{send}',
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON TABLE belfry.api_key IS 'Keys of the HTTP routes for senders. Writing is the owner''s.';
COMMENT ON COLUMN belfry.api_key.hash IS 'SHA-256 of the key, in hexadecimal digits; the key itself is kept nowhere.';
COMMENT ON COLUMN belfry.api_key.scopes IS 'What it may do: send.';
COMMENT ON COLUMN belfry.api_key.revoked_at IS 'Since when it is refused; NULL while it is good.';

CREATE TABLE belfry.migration (
    version bigint CONSTRAINT migration_pkey PRIMARY KEY,
    name text NOT NULL,
    checksum text,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE belfry.migration IS 'The migrations that this database has; each records itself.';
COMMENT ON COLUMN belfry.migration.checksum IS
    'SHA-256 of the up file; NULL after an install by psql alone, until the next belfry migrate up.';
COMMENT ON COLUMN belfry.migration.applied_by IS 'The login that ran it.';

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
    IF deposit.deliver_at > now() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006',
            MESSAGE = 'a notification cannot be sent for later yet',
            DETAIL = format('deliver_at is %s.', deposit.deliver_at),
            HINT = 'Leave deliver_at out and call this function when it is due; delivery at a time comes with the inbox.';
    END IF;
    -- Who waited for another sender of the same key finds either its row, or, when that one rolled back, room.
    FOR attempt IN 1..100 LOOP
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant,
            dedupe_key, group_key, expires_at)
        VALUES (
            deposit.recipient, deposit.topic, deposit.kind, deposit.title, deposit.body, deposit.data,
            deposit.action_url, deposit.actions, deposit.actor, deposit.tags, deposit.severity, deposit.tenant,
            deposit.dedupe_key, deposit.group_key, deposit.expires_at)
        ON CONFLICT DO NOTHING
        RETURNING notification.id INTO sent;
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

--- functions/send.sql ---
CREATE OR REPLACE FUNCTION belfry.send(
    recipient text,
    kind text,
    title text DEFAULT '',
    body text DEFAULT '',
    data jsonb DEFAULT '{}',
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT '[]',
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT '{}',
    severity text DEFAULT 'info',
    tenant text DEFAULT '',
    dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sent bigint;
BEGIN
    -- As little as can be, because every sender pays for it: the table's CHECK is the judge of all arguments, and
    -- belfry.deposit does what is rare.
    IF send.dedupe_key IS NULL AND send.deliver_at IS NULL AND num_nulls(
        send.recipient, send.kind, send.title, send.body, send.data, send.actions, send.tags, send.severity,
        send.tenant) = 0
    THEN
        INSERT INTO belfry.notification (
            recipient, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        VALUES (
            send.recipient, send.kind, send.title, send.body, send.data, send.action_url, send.actions,
            send.actor, send.tags, send.severity, send.tenant, send.group_key, send.expires_at)
        RETURNING notification.id INTO sent;
        RETURN sent;
    END IF;
    PERFORM belfry.require_recipient(send.recipient);
    RETURN belfry.deposit(
        send.recipient, NULL, send.kind, send.title, send.body, send.data, send.action_url, send.actions,
        send.actor, send.tags, send.severity, send.tenant, send.dedupe_key, send.group_key, send.deliver_at,
        send.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.send(
    text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to one recipient inside the caller''s transaction, and returns its id. '
    'kind is a dotted lower-case name; severity is info, success, warning or error; actor is {id, name, avatar_url}; '
    'actions is [{name, label, url, style}]; data is any JSON object. A repeated dedupe_key for that recipient returns '
    'the first id and sends nothing (under REPEATABLE READ two racing callers may get 40001: repeat the transaction). '
    'NULL stands for the default. Errors: BF001 to BF007, each with a hint.';
--- end ---

--- functions/send_many.sql ---
CREATE OR REPLACE FUNCTION belfry.send_many(
    recipients text[],
    kind text,
    title text DEFAULT '',
    body text DEFAULT '',
    data jsonb DEFAULT '{}',
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT '[]',
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT '{}',
    severity text DEFAULT 'info',
    tenant text DEFAULT '',
    dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS SETOF bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sent bigint[] := '{}';
    one record;
BEGIN
    IF send_many.recipients IS NULL OR array_position(send_many.recipients, NULL) IS NOT NULL THEN
        PERFORM belfry.require_recipient(NULL);
    END IF;
    IF send_many.dedupe_key IS NULL AND send_many.deliver_at IS NULL AND send_many.kind IS NOT NULL THEN
        RETURN QUERY
        INSERT INTO belfry.notification (
            recipient, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        SELECT
            wanted.recipient, send_many.kind, coalesce(send_many.title, ''), coalesce(send_many.body, ''),
            coalesce(send_many.data, '{}'), send_many.action_url, coalesce(send_many.actions, '[]'),
            send_many.actor, coalesce(send_many.tags, '{}'), coalesce(send_many.severity, 'info'),
            coalesce(send_many.tenant, ''), send_many.group_key, send_many.expires_at
        FROM unnest(send_many.recipients) WITH ORDINALITY AS wanted (recipient, place)
        ORDER BY wanted.place
        RETURNING notification.id;
        RETURN;
    END IF;
    -- In one order for all callers, so that two with the same key wait for each other and never in a circle.
    FOR one IN
        SELECT wanted.recipient, wanted.place
        FROM unnest(send_many.recipients) WITH ORDINALITY AS wanted (recipient, place)
        ORDER BY wanted.recipient COLLATE "C", wanted.place
    LOOP
        sent[one.place] := belfry.deposit(
            one.recipient, NULL, send_many.kind, send_many.title, send_many.body, send_many.data,
            send_many.action_url, send_many.actions, send_many.actor, send_many.tags, send_many.severity,
            send_many.tenant, send_many.dedupe_key, send_many.group_key, send_many.deliver_at,
            send_many.expires_at);
    END LOOP;
    RETURN QUERY SELECT found.id FROM unnest(sent) WITH ORDINALITY AS found (id, place) ORDER BY found.place;
END
$$;
COMMENT ON FUNCTION belfry.send_many(
    text[], text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to each of the recipients, all or none, and returns the ids in the order of the array '
    '(a recipient named twice gets two). A dedupe_key counts for each recipient. Arguments and errors as in belfry.send.';
--- end ---

--- functions/publish.sql ---
CREATE OR REPLACE FUNCTION belfry.publish(
    topic text,
    kind text,
    title text DEFAULT '',
    body text DEFAULT '',
    data jsonb DEFAULT '{}',
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT '[]',
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT '{}',
    severity text DEFAULT 'info',
    tenant text DEFAULT '',
    dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    sent bigint;
BEGIN
    -- As little as can be, because every sender pays for it: the table's CHECK is the judge of all arguments, and
    -- belfry.deposit does what is rare.
    IF publish.dedupe_key IS NULL AND publish.deliver_at IS NULL AND num_nulls(
        publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.actions, publish.tags, publish.severity,
        publish.tenant) = 0
    THEN
        INSERT INTO belfry.notification (
            topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, group_key,
            expires_at)
        VALUES (
            publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.action_url, publish.actions,
            publish.actor, publish.tags, publish.severity, publish.tenant, publish.group_key, publish.expires_at)
        RETURNING notification.id INTO sent;
        RETURN sent;
    END IF;
    PERFORM belfry.require_topic(publish.topic);
    RETURN belfry.deposit(
        NULL, publish.topic, publish.kind, publish.title, publish.body, publish.data, publish.action_url,
        publish.actions, publish.actor, publish.tags, publish.severity, publish.tenant, publish.dedupe_key,
        publish.group_key, publish.deliver_at, publish.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.publish(
    text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to everyone subscribed to the topic (* is everyone) inside the caller''s transaction, and '
    'returns its id: one row, whatever the number of subscribed. Arguments and errors as in belfry.send.';
--- end ---

--- functions/broadcast.sql ---
CREATE OR REPLACE FUNCTION belfry.broadcast(
    kind text,
    title text DEFAULT '',
    body text DEFAULT '',
    data jsonb DEFAULT '{}',
    action_url text DEFAULT NULL,
    actions jsonb DEFAULT '[]',
    actor jsonb DEFAULT NULL,
    tags text[] DEFAULT '{}',
    severity text DEFAULT 'info',
    tenant text DEFAULT '',
    dedupe_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    deliver_at timestamptz DEFAULT NULL,
    expires_at timestamptz DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql
AS $$
BEGIN
    RETURN belfry.publish(
        '*', broadcast.kind, broadcast.title, broadcast.body, broadcast.data, broadcast.action_url,
        broadcast.actions, broadcast.actor, broadcast.tags, broadcast.severity, broadcast.tenant,
        broadcast.dedupe_key, broadcast.group_key, broadcast.deliver_at, broadcast.expires_at);
END
$$;
COMMENT ON FUNCTION belfry.broadcast(
    text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz, timestamptz
) IS
    'Sends one notification to everyone: belfry.publish to the topic *.';
--- end ---

--- functions/last_position.sql ---
CREATE OR REPLACE FUNCTION belfry.last_position() RETURNS bigint
    LANGUAGE sql VOLATILE
AS $$
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM belfry.position
$$;
COMMENT ON FUNCTION belfry.last_position() IS
    'The highest id that was ever taken from belfry.position, committed or not; 0 when none was.';
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

--- functions/unsubscribe.sql ---
CREATE OR REPLACE FUNCTION belfry.unsubscribe(recipient text, topic text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM belfry.require_recipient(unsubscribe.recipient);
    PERFORM belfry.require_topic(unsubscribe.topic);
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

--- functions/contact.sql ---
CREATE OR REPLACE FUNCTION belfry.contact(recipients text[]) RETURNS TABLE (recipient text, since bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
#variable_conflict use_column
BEGIN
    -- In one order for all callers, so that two relays wait for each other and never in a circle.
    INSERT INTO belfry.inbox (recipient, since)
    SELECT
        wanted.recipient,
        least(
            (SELECT min(notification.id) FROM belfry.notification WHERE notification.recipient = wanted.recipient),
            (SELECT min(subscription.since) FROM belfry.subscription
             WHERE subscription.recipient = wanted.recipient),
            belfry.last_position())
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

--- functions/ring.sql ---
CREATE OR REPLACE FUNCTION belfry.ring() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('belfry', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION belfry.ring() IS
    'Internal: rings the doorbell. Its triggers call it only when a relay that sleeps holds the bell.';
--- end ---

--- triggers/notification_ring.sql ---
-- 1111837766 is 'BELF', key 1 the bell. Who gets the shared lock stays silent and keeps it to the end of the transaction,
-- so that no relay can fall asleep before the commit. It is asked in WHEN: the silent case then calls no function.
CREATE OR REPLACE TRIGGER notification_ring AFTER INSERT ON belfry.notification
    FOR EACH STATEMENT WHEN (NOT pg_try_advisory_xact_lock_shared(1111837766, 1))
    EXECUTE FUNCTION belfry.ring();
COMMENT ON TRIGGER notification_ring ON belfry.notification IS
    'The doorbell: sends NOTIFY only while a relay that sleeps holds the bell''s advisory lock (1111837766, 1) '
    'exclusively; otherwise a transaction pays for one shared lock and nothing else.';
--- end ---

--- triggers/change_ring.sql ---
-- 1111837766 is 'BELF', key 1 the bell. Who gets the shared lock stays silent and keeps it to the end of the transaction,
-- so that no relay can fall asleep before the commit. It is asked in WHEN: the silent case then calls no function.
CREATE OR REPLACE TRIGGER change_ring AFTER INSERT ON belfry.change
    FOR EACH STATEMENT WHEN (NOT pg_try_advisory_xact_lock_shared(1111837766, 1))
    EXECUTE FUNCTION belfry.ring();
COMMENT ON TRIGGER change_ring ON belfry.change IS
    'The doorbell: sends NOTIFY only while a relay that sleeps holds the bell''s advisory lock (1111837766, 1) '
    'exclusively; otherwise a transaction pays for one shared lock and nothing else.';
--- end ---

INSERT INTO belfry.epoch (token, system_identifier, timeline)
SELECT '', known.system_identifier, known.timeline FROM belfry.identity() AS known;
INSERT INTO belfry.settled DEFAULT VALUES;
INSERT INTO belfry.setting (name, value) VALUES ('wake_mode', 'auto');

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

-- A relay reads everything and writes only first contacts, what is settled, and epochs, by function.
-- It is a member of belfry_sender too, for POST /v1/notifications.
GRANT SELECT ON ALL TABLES IN SCHEMA belfry TO belfry_relay;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_relay;
GRANT EXECUTE ON FUNCTION
    belfry.contact, belfry.settle(bigint, text), belfry.ensure_epoch, belfry.new_epoch, belfry.last_position
TO belfry_relay;

-- A monitor sees how things stand and how much there is, and neither names nor contents.
GRANT SELECT ON belfry.settled, belfry.epoch, belfry.setting, belfry.migration TO belfry_monitor;
GRANT SELECT (id, created_at) ON belfry.notification TO belfry_monitor;
GRANT SELECT (id, verb, created_at) ON belfry.change TO belfry_monitor;
GRANT SELECT (topic, since, until) ON belfry.subscription TO belfry_monitor;
GRANT SELECT (since, created_at) ON belfry.inbox TO belfry_monitor;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_monitor;
GRANT EXECUTE ON FUNCTION belfry.last_position TO belfry_monitor;
--- end ---

INSERT INTO belfry.migration (version, name) VALUES (1, 'core');
SET LOCAL ROLE NONE;
