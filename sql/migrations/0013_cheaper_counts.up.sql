-- A badge costs a fifth less to count: what stands out below a watermark has statements of its own.
-- Locks: none.
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '60s';
SET LOCAL ROLE belfry_owner;

--- functions/tally.sql ---
CREATE OR REPLACE FUNCTION belfry.tally(
    recipient text, tenant text, topics text[], head bigint, gaps int8multirange,
    OUT unread bigint, OUT unseen bigint
)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(tally.recipient);
    -- Above it no watermark says anything; at or below it only receipts that contradict one are of interest.
    ground CONSTANT bigint := greatest(box.read_through, box.archived_through);
    -- Each of those costs ten rows of an index, so where there are very many everything above the lowest is read.
    few CONSTANT integer := 100;
    many CONSTANT integer := 2000;
    ground_read bigint := ground;
    found bigint;
    alone boolean := false; -- the receipts tell all by themselves, but for what has ended
    pruned bigint;
BEGIN
    SELECT settled.pruned, (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = tally.recipient AND c.notification_id <= ground
                AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            LIMIT many) AS counted)
    INTO pruned, found FROM belfry.settled;
    IF found > few AND box.kinds IS NULL AND tally.tenant IS NULL AND tally.topics IS NULL THEN
        alone := (
            SELECT count(*) FROM (
                SELECT FROM belfry.fleeting(tally.recipient, box.since, ground) LIMIT many) AS counted) < many;
    END IF;
    IF found = many AND NOT alone THEN
        SELECT min(c.notification_id) - 1 INTO ground_read FROM belfry.receipt AS c
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity';
    END IF;
    -- IN and NOT IN, because they are hashed whatever the planner expects.
    SELECT count(*), count(*) FILTER (WHERE NOT counted.seen) INTO unread, unseen
    FROM (
        SELECT CASE WHEN item.id > box.seen_through THEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > greatest(ground_read, box.seen_through)
                    AND c.seen_at < 'infinity')
            ELSE item.id NOT IN ( -- as the index of unseen ones has it; here nothing is archived
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read
                    AND c.notification_id <= box.seen_through AND c.seen_at = 'infinity'
                    AND coalesce(c.seen_at, 'infinity') = 'infinity'
                    AND coalesce(c.archived_at, 'infinity') = 'infinity')
            END AS seen
        FROM belfry.audience(
            tally.recipient, box.since, ground_read, coalesce(tally.head, 9223372036854775807), tally.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR item.tenant = tally.tenant)
            AND (tally.gaps IS NULL OR NOT item.id <@ tally.gaps)
            AND CASE WHEN item.id > ground THEN item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground
                    AND (c.read_at < 'infinity' OR c.archived_at < 'infinity' OR c.snoozed_until > now()))
            ELSE item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.notification_id <= ground
                    AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                    AND coalesce(c.read_at, 'infinity') = 'infinity'
                    AND coalesce(c.archived_at, 'infinity') = 'infinity'
                    AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
                    AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
                    AND (c.snoozed_until IS NULL OR c.snoozed_until <= now()))
            END
    ) AS counted;
    -- What stands out at or below the ground: in statements of their own, because nearly nobody has such.
    IF alone THEN
        SELECT unread + count(*),
            unseen + count(*) FILTER (WHERE NOT coalesce(c.seen_at < 'infinity', c.notification_id <= box.seen_through))
        INTO unread, unseen
        FROM belfry.receipt AS c
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground AND c.notification_id > pruned
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
            AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND (tally.head IS NULL OR c.notification_id <= tally.head)
            AND (tally.gaps IS NULL OR NOT c.notification_id <@ tally.gaps)
            AND c.notification_id NOT IN (
                SELECT gone.id FROM belfry.fleeting(tally.recipient, box.since, ground) AS gone
                WHERE NOT belfry.alive(gone.ended_at, gone.expires_at));
    ELSIF found > 0 AND ground_read = ground THEN
        SELECT unread + count(*),
            unseen + count(*) FILTER (WHERE NOT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through))
        INTO unread, unseen
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR c.notification_id > box.read_through)
            AND (c.archived_at = 'infinity' OR c.notification_id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR n.tenant = tally.tenant)
            AND (tally.head IS NULL OR n.id <= tally.head)
            AND (tally.gaps IS NULL OR NOT n.id <@ tally.gaps)
            AND (n.recipient = tally.recipient OR EXISTS (
                SELECT FROM belfry.stays(tally.recipient, box.since, tally.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)));
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.tally(text, text, text[], bigint, int8multirange) IS
    'Internal: counts what is unread, and of that what is unseen, up to the head and outside of the gaps, in the snapshot '
    'of the calling statement. Reads what is above the watermarks, and the receipts that contradict them.';
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

INSERT INTO belfry.migration (version, name) VALUES (13, 'cheaper_counts');
SET LOCAL ROLE NONE;
