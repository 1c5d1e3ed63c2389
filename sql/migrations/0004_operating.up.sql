-- Operating: retention, forgetting a person, handing a person their data, and views of how things stand.
-- Locks: belfry.subscription and belfry.preference while an index is made on each; subscribing and choosing wait.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
-- squawk-ignore-file require-concurrent-index-creation
SET LOCAL lock_timeout = '900ms';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

-- Both at once, in the order in which others take them, and given up before Postgres looks for deadlocks.
LOCK TABLE belfry.preference, belfry.subscription IN SHARE MODE;
-- What lies below the pruned position of these goes with it.
CREATE INDEX subscription_until_idx ON belfry.subscription (until) WHERE until IS NOT NULL;
CREATE INDEX preference_until_idx ON belfry.preference (until) WHERE until IS NOT NULL;

CREATE VIEW belfry.status AS
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
    pg_catalog.pg_notification_queue_usage() AS notify_queue_usage
FROM belfry.settled AS s;
COMMENT ON VIEW belfry.status IS 'How things stand, in one row: positions, ages, what is due, who writes. Cheap enough to ask each second.';
COMMENT ON COLUMN belfry.status.position IS 'The highest id that was ever taken.';
COMMENT ON COLUMN belfry.status.settled IS
    'Nothing is open at or below. It stands still while a transaction that has written here stays open, and without relays.';
COMMENT ON COLUMN belfry.status.pruned IS 'What retention has taken: rows at or below may be gone.';
COMMENT ON COLUMN belfry.status.notifications_estimate IS 'As the planner believes; -1 before the first ANALYZE.';
COMMENT ON COLUMN belfry.status.due IS 'Scheduled notifications whose time has come: more than a few for seconds means that no relay delivers.';
COMMENT ON COLUMN belfry.status.open_writers IS 'Transactions that have written here and are open, the prepared ones too.';
COMMENT ON COLUMN belfry.status.bell_armed IS 'A relay sleeps and waits for NOTIFY; under load none does.';
COMMENT ON COLUMN belfry.status.notify_queue_usage IS 'How full the queue of NOTIFY is, of this cluster: 0 to 1.';

CREATE VIEW belfry.activity AS
SELECT
    date_trunc('minute', n.created_at) AS minute,
    n.kind,
    count(*) AS notifications,
    count(*) FILTER (WHERE n.recipient IS NOT NULL) AS direct,
    count(*) FILTER (WHERE n.topic <> '*') AS to_topics,
    count(*) FILTER (WHERE n.topic = '*') AS broadcasts,
    count(*) FILTER (WHERE n.ended_at IS NOT NULL) AS ended
FROM belfry.notification AS n
WHERE n.id > (SELECT p.last_value FROM belfry.position AS p) - 10000
GROUP BY 1, 2
ORDER BY 1 DESC, 2;
COMMENT ON VIEW belfry.activity IS
    'What was sent lately, by minute and kind: the last 10,000 positions. Neither recipients nor contents.';
COMMENT ON COLUMN belfry.activity.ended IS 'Retracted or expired since.';

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
GRANT SELECT ON SEQUENCE belfry.position, belfry.scheduled_number_seq TO belfry_monitor;
GRANT EXECUTE ON FUNCTION belfry.last_position TO belfry_monitor;
GRANT SELECT ON belfry.status, belfry.activity TO belfry_monitor;
--- end ---

INSERT INTO belfry.migration (version, name) VALUES (4, 'operating');
SET LOCAL ROLE NONE;
