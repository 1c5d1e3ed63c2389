-- Brings back what was before 0015_waiting_for_nobody.
-- Locks: the readers and writers of belfry.epoch, for an instant.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

DROP FUNCTION belfry.try_deliver(bigint[]);
--- functions/deliver_scheduled.sql ---
CREATE OR REPLACE FUNCTION belfry.deliver_scheduled(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    due CONSTANT bigint[] := ARRAY(
        SELECT s.number FROM belfry.scheduled AS s WHERE s.deliver_at <= now()
        ORDER BY s.deliver_at, s.number LIMIT deliver_scheduled.max_rows FOR UPDATE SKIP LOCKED);
BEGIN
    -- Asked first: an INSERT of no row at all would ring the bell. What has expired is not sent.
    IF EXISTS (
        SELECT FROM belfry.scheduled AS s WHERE s.number = ANY (due) AND belfry.alive(NULL, s.expires_at)) THEN
        -- What was sent in between with the same dedupe_key stands for it.
        INSERT INTO belfry.notification (
            recipient, topic, kind, title, body, data, action_url, actions, actor, tags, severity, tenant, dedupe_key,
            group_key, expires_at)
        SELECT s.recipient, s.topic, s.kind, s.title, s.body, s.data, s.action_url, s.actions, s.actor, s.tags,
            s.severity, s.tenant, s.dedupe_key, s.group_key, s.expires_at
        FROM belfry.scheduled AS s
        WHERE s.number = ANY (due) AND belfry.alive(NULL, s.expires_at) ORDER BY s.deliver_at, s.number
        ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM belfry.scheduled WHERE scheduled.number = ANY (due);
    RETURN cardinality(due);
END
$$;
COMMENT ON FUNCTION belfry.deliver_scheduled(integer) IS
    'Internal: the scheduled notifications of belfry.deliver_due.';
--- end ---

--- functions/ensure_epoch.sql ---
CREATE OR REPLACE FUNCTION belfry.ensure_epoch() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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

--- functions/new_epoch.sql ---
CREATE OR REPLACE FUNCTION belfry.new_epoch(expected text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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

--- functions/prune.sql ---
CREATE OR REPLACE FUNCTION belfry.prune(older_than interval, max_rows integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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

--- functions/try_deliver.sql ---
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

ALTER TABLE belfry.epoch DROP COLUMN database;

DELETE FROM belfry.migration WHERE version = 15;
SET LOCAL ROLE NONE;
