-- Takes back 0007: all watches end, what they have sent stays.
-- Locks: each table that is watched, for an instant, and the view belfry.status.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
-- squawk-ignore-file ban-drop-table
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

DO $$
DECLARE
    each bigint;
BEGIN
    FOR each IN SELECT w.number FROM belfry.watch AS w ORDER BY w.source, w.number LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS belfry.%I() CASCADE', 'watch_' || each);
    END LOOP;
END
$$;
DROP VIEW belfry.watched, belfry.status;
DROP TABLE belfry.watch_failure, belfry.watch;
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

DROP FUNCTION belfry.watched_rows(regclass, text, integer);
DROP FUNCTION belfry.watch(regclass, text, text, text, text, text, text, text, text, text, text, text, text, text, boolean, text, boolean, integer);
DROP FUNCTION belfry.unwatch(text);
DROP FUNCTION belfry.template(regclass, text, text[], text, boolean);
DROP FUNCTION belfry.require_watched(regclass);
DROP FUNCTION belfry.require_watch(boolean, text, text, text);
DROP FUNCTION belfry.require_expression(text, text, text, text);
DROP FUNCTION belfry.note_failure(bigint, text, text);
DROP FUNCTION belfry.forget_watch(bigint);
DROP FUNCTION belfry.fault(text);
DROP FUNCTION belfry.enter_watch(jsonb, text, text, boolean, text);
DROP FUNCTION belfry.encoded(text);
--- functions/encoded.sql ---
--- end ---

--- functions/enter_watch.sql ---
--- end ---

--- functions/fault.sql ---
--- end ---

--- functions/forget_watch.sql ---
--- end ---

--- functions/note_failure.sql ---
--- end ---

--- functions/require_expression.sql ---
--- end ---

--- functions/require_watch.sql ---
--- end ---

--- functions/require_watched.sql ---
--- end ---

--- functions/template.sql ---
--- end ---

--- functions/unwatch.sql ---
--- end ---

--- functions/watch.sql ---
--- end ---

--- functions/watched_rows.sql ---
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

DELETE FROM belfry.migration WHERE version = 7;
SET LOCAL ROLE NONE;
