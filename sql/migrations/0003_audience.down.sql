-- Brings back what was before 0003_audience. What is scheduled, traits, segments (their subscriptions stay as they are)
-- and kept answers are removed.
-- Locks: a replaced function locks no table; a trigger keeps the writers of its table out for an instant.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

DROP FUNCTION belfry.unread_since(interval, text, bigint, text, integer);
DROP FUNCTION belfry.trace(bigint, text);
DROP FUNCTION belfry.set_traits(text, jsonb);
DROP FUNCTION belfry.set_preference(text, text, boolean);
DROP FUNCTION belfry.revise(bigint, text, text, jsonb, text, jsonb, jsonb, text[], text, timestamptz);
DROP FUNCTION belfry.retract(bigint);
DROP FUNCTION belfry.require_kind(text, boolean);
DROP FUNCTION belfry.preferences(text);
DROP FUNCTION belfry.import(jsonb);
DROP FUNCTION belfry.forget_idempotency(interval);
DROP FUNCTION belfry.enroll(text[], text[]);
DROP FUNCTION belfry.end_snoozes(integer);
DROP FUNCTION belfry.end_expired(integer);
DROP FUNCTION belfry.drop_segment(text);
DROP FUNCTION belfry.require_read_committed();
DROP FUNCTION belfry.dismiss(text[], text[]);
DROP FUNCTION belfry.deliver_scheduled(integer);
DROP FUNCTION belfry.deliver_due(integer);
DROP FUNCTION belfry.define_segment(text, jsonb);
DROP FUNCTION belfry.define_segment(text, text);
DROP FUNCTION belfry.declare_kind(text, text, boolean, boolean);
DROP TABLE belfry.idempotency, belfry.segment, belfry.traits, belfry.scheduled;
ALTER TABLE belfry.api_key DROP CONSTRAINT api_key_scopes;
COMMENT ON COLUMN belfry.api_key.scopes IS 'What it may do: send.';

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
    belfry.unarchive, belfry.mark_all_read, belfry.mark_all_seen, belfry.archive_all, belfry.snooze, belfry.unsnooze
TO belfry_sender;

-- A relay reads everything and writes only first contacts, what is settled, and epochs, by function.
-- It is a member of belfry_sender too, for POST /v1/notifications.
GRANT SELECT ON ALL TABLES IN SCHEMA belfry TO belfry_relay;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_relay;
GRANT EXECUTE ON FUNCTION
    belfry.contact, belfry.badges, belfry.settle(bigint, text), belfry.ensure_epoch, belfry.new_epoch,
    belfry.last_position
TO belfry_relay;

-- A monitor sees how things stand and how much there is, and neither names nor contents.
GRANT SELECT ON belfry.settled, belfry.epoch, belfry.setting, belfry.migration TO belfry_monitor;
GRANT SELECT (id, created_at) ON belfry.notification TO belfry_monitor;
GRANT SELECT (id, verb, created_at) ON belfry.change TO belfry_monitor;
GRANT SELECT (topic, since, until) ON belfry.subscription TO belfry_monitor;
GRANT SELECT (since, created_at) ON belfry.inbox TO belfry_monitor;
GRANT SELECT ON belfry.kind TO belfry_monitor;
GRANT SELECT ON SEQUENCE belfry.position TO belfry_monitor;
GRANT EXECUTE ON FUNCTION belfry.last_position TO belfry_monitor;
--- end ---

DELETE FROM belfry.migration WHERE version = 3;
SET LOCAL ROLE NONE;
