-- The inbox: what recipients did with notifications, exact counts, lists, and how preferences and kinds are kept.
-- Locks: belfry.notification, change and inbox exclusively to the end. The two audience indexes of notification are
-- built anew, about two seconds for a million rows, while senders wait; everything else takes an instant.
-- No index can be built CONCURRENTLY in a transaction, and what is relaxed here is relaxed for new rows:
-- squawk-ignore-file require-concurrent-index-creation, require-concurrent-index-deletion
-- squawk-ignore-file ban-drop-not-null, ban-drop-constraint, constraint-missing-not-valid
-- Runs in one transaction: psql --single-transaction -v ON_ERROR_STOP=1 --file <this file>
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '600s';
SET LOCAL ROLE belfry_owner;

ALTER TABLE belfry.notification
    ADD COLUMN ended_at timestamptz,
    ADD COLUMN revised_at timestamptz,
    ADD COLUMN silent boolean NOT NULL DEFAULT false;
-- What a count asks of a row stands in the index, so that it reads no row.
DROP INDEX belfry.notification_recipient_idx, belfry.notification_topic_idx;
CREATE INDEX notification_recipient_idx ON belfry.notification (recipient, id)
    INCLUDE (kind, tenant, expires_at, ended_at) WHERE recipient IS NOT NULL;
CREATE INDEX notification_topic_idx ON belfry.notification (topic, id)
    INCLUDE (kind, tenant, expires_at, ended_at) WHERE topic IS NOT NULL;
CREATE INDEX notification_recipient_group_idx ON belfry.notification (recipient, group_key, id)
    WHERE recipient IS NOT NULL AND group_key IS NOT NULL;
CREATE INDEX notification_topic_group_idx ON belfry.notification (topic, group_key, id)
    WHERE topic IS NOT NULL AND group_key IS NOT NULL;
CREATE INDEX notification_expiry_idx ON belfry.notification (expires_at)
    WHERE expires_at IS NOT NULL AND ended_at IS NULL;
COMMENT ON COLUMN belfry.notification.ended_at IS
    'When it was retracted, or swept away as expired; NULL while it is alive.';
COMMENT ON COLUMN belfry.notification.revised_at IS 'When its content was last changed; NULL if it never was.';
COMMENT ON COLUMN belfry.notification.silent IS 'Imported: it stands in inboxes and never becomes a frame.';

ALTER TABLE belfry.change
    ALTER COLUMN recipient DROP NOT NULL,
    ADD COLUMN tenant text,
    ADD COLUMN ids bigint[],
    ADD COLUMN through bigint,
    ADD COLUMN kind text,
    ADD COLUMN enabled boolean,
    DROP CONSTRAINT change_verb,
    ADD CONSTRAINT change_verb CHECK (verb IN (
        'read', 'unread', 'seen', 'archived', 'unarchived', 'snoozed', 'unsnoozed', 'revised', 'retracted', 'expired',
        'delivered', 'subscribed', 'unsubscribed', 'preference', 'declared')),
    ADD CONSTRAINT change_audience CHECK (
        recipient IS NOT NULL OR (topic IS NOT NULL AND (verb = 'declared' OR coalesce(cardinality(ids), 0) = 1)));
CREATE INDEX change_topic_idx ON belfry.change (topic, id) WHERE recipient IS NULL;
DROP INDEX belfry.change_membership_idx;
CREATE INDEX change_membership_idx ON belfry.change (id)
    WHERE verb IN ('subscribed', 'unsubscribed', 'preference', 'declared');
COMMENT ON TABLE belfry.change IS
    'What became of notifications, memberships and preferences, one row each, in one order with notifications. '
    'Only functions write it.';
COMMENT ON COLUMN belfry.change.recipient IS
    'Whose streams are told; NULL when it is about one notification of a topic, and so for everyone who has that one.';
COMMENT ON COLUMN belfry.change.topic IS
    'The topic of a subscribed or unsubscribed; of the notification that it is about, when there is no recipient.';
COMMENT ON COLUMN belfry.change.verb IS
    'What happened: read, unread, seen, archived, unarchived, snoozed, unsnoozed, revised, retracted, expired, delivered, '
    'subscribed, unsubscribed, preference, declared.';
COMMENT ON COLUMN belfry.change.tenant IS 'The tenant of the notification that it is about; NULL: it concerns all.';
COMMENT ON COLUMN belfry.change.ids IS 'The notifications, at most 1000; with through only those above it.';
COMMENT ON COLUMN belfry.change.through IS 'All notifications of the recipient at or below this position.';
COMMENT ON COLUMN belfry.change.kind IS 'The kind of a preference or declared; * is every kind without a choice of its own.';
COMMENT ON COLUMN belfry.change.enabled IS 'Whether that kind is now received.';
COMMENT ON CONSTRAINT change_audience ON belfry.change IS
    'A recipient; or a topic with exactly one notification of it; or, for declared, the topic * alone.';

ALTER TABLE belfry.inbox
    ADD COLUMN read_through bigint NOT NULL DEFAULT 0,
    ADD COLUMN seen_through bigint NOT NULL DEFAULT 0,
    ADD COLUMN archived_through bigint NOT NULL DEFAULT 0;
COMMENT ON TABLE belfry.inbox IS
    'First contact with each recipient, and their watermarks. Whoever changes a recipient''s state updates this row '
    'first, so that the changes of one recipient are in the order of their commits. Senders never write it.';
COMMENT ON COLUMN belfry.inbox.read_through IS
    'Everything at or below is read, unless its receipt says otherwise. Never above belfry.settled.';
COMMENT ON COLUMN belfry.inbox.seen_through IS 'The same for seen.';
COMMENT ON COLUMN belfry.inbox.archived_through IS 'The same for archived.';

CREATE TABLE belfry.receipt (
    recipient text,
    notification_id bigint,
    seen_at timestamptz,
    read_at timestamptz,
    archived_at timestamptz,
    snoozed_until timestamptz,
    CONSTRAINT receipt_pkey PRIMARY KEY (recipient, notification_id)
);
CREATE INDEX receipt_notification_idx ON belfry.receipt (notification_id);
CREATE INDEX receipt_due_idx ON belfry.receipt (snoozed_until) WHERE snoozed_until IS NOT NULL;
CREATE INDEX receipt_snoozed_idx ON belfry.receipt (recipient, notification_id) WHERE snoozed_until IS NOT NULL;
CREATE INDEX receipt_unread_idx ON belfry.receipt (recipient, notification_id)
    WHERE (read_at = 'infinity' OR archived_at = 'infinity')
        AND coalesce(read_at, 'infinity') = 'infinity' AND coalesce(archived_at, 'infinity') = 'infinity';
CREATE INDEX receipt_unarchived_idx ON belfry.receipt (recipient, notification_id) WHERE archived_at = 'infinity';
COMMENT ON TABLE belfry.receipt IS
    'What a recipient did with a notification, where the watermarks of belfry.inbox do not say it already. In each of '
    'seen_at, read_at and archived_at NULL leaves it to the watermark, infinity says expressly not, -infinity says yes '
    'at an unknown time. Rows that say no more than the watermarks are deleted. Only functions write it.';
COMMENT ON COLUMN belfry.receipt.notification_id IS 'The notification; no foreign key, for senders and readers meet in none.';
COMMENT ON COLUMN belfry.receipt.seen_at IS 'Seen: on the screen once. Whoever reads has seen.';
COMMENT ON COLUMN belfry.receipt.read_at IS 'Read.';
COMMENT ON COLUMN belfry.receipt.archived_at IS 'Archived: put away; neither read nor seen by that.';
COMMENT ON COLUMN belfry.receipt.snoozed_until IS 'Out of list and counts until then.';
COMMENT ON INDEX belfry.receipt_unread_idx IS
    'What is neither read nor archived although it stands at or below a watermark: counting reads these alone.';

CREATE TABLE belfry.preference (
    recipient text CONSTRAINT preference_recipient CHECK (belfry.require_recipient(recipient)),
    kind text,
    since bigint,
    until bigint CONSTRAINT preference_until CHECK (until > since),
    enabled boolean NOT NULL,
    CONSTRAINT preference_pkey PRIMARY KEY (recipient, kind, since)
);
CREATE UNIQUE INDEX preference_open_idx ON belfry.preference (recipient, kind) WHERE until IS NULL;
COMMENT ON TABLE belfry.preference IS
    'Which kinds recipients want, as intervals of positions: notification i is judged by the row with since < i and '
    '(until IS NULL OR i < until), so a choice concerns what is sent after it. No row: the default of the kind.';
COMMENT ON COLUMN belfry.preference.kind IS 'The kind; * is every kind without a row of its own.';
COMMENT ON COLUMN belfry.preference.since IS 'The id of the change that began it.';
COMMENT ON COLUMN belfry.preference.until IS 'The id of the change that ended it; NULL while it lasts.';
COMMENT ON COLUMN belfry.preference.enabled IS 'Received, or muted: neither in list nor counts, and no frame.';

CREATE TABLE belfry.kind (
    kind text,
    since bigint,
    until bigint CONSTRAINT kind_until CHECK (until > since),
    label text NOT NULL DEFAULT '',
    required boolean NOT NULL DEFAULT false,
    enabled boolean NOT NULL DEFAULT true,
    CONSTRAINT kind_pkey PRIMARY KEY (kind, since)
);
CREATE UNIQUE INDEX kind_open_idx ON belfry.kind (kind) WHERE until IS NULL;
CREATE INDEX kind_off_idx ON belfry.kind (kind) WHERE NOT enabled;
COMMENT ON TABLE belfry.kind IS
    'What is declared of kinds, as intervals of positions like belfry.preference. A kind without a row is enabled.';
COMMENT ON COLUMN belfry.kind.kind IS 'The kind of notifications.';
COMMENT ON COLUMN belfry.kind.since IS 'The id of the change that began it.';
COMMENT ON COLUMN belfry.kind.until IS 'The id of the change that ended it; NULL while it lasts.';
COMMENT ON COLUMN belfry.kind.label IS 'What a person reads in the list of preferences.';
COMMENT ON COLUMN belfry.kind.required IS 'Nobody can mute it.';
COMMENT ON COLUMN belfry.kind.enabled IS 'Received by those who have made no choice.';

--- functions/alive.sql ---
CREATE OR REPLACE FUNCTION belfry.alive(ended_at timestamptz, expires_at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
SELECT alive.ended_at IS NULL AND (alive.expires_at IS NULL OR alive.expires_at > now())
$$;
COMMENT ON FUNCTION belfry.alive(timestamptz, timestamptz) IS
    'Internal: whether a notification is neither retracted nor expired. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/muted.sql ---
CREATE OR REPLACE FUNCTION belfry.muted(id bigint, kind text, kinds text[], ranges int8multirange[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE
AS $$
SELECT coalesce(muted.id <@ coalesce(muted.ranges[array_position(muted.kinds, muted.kind)], muted.ranges[1]), false)
$$;
COMMENT ON FUNCTION belfry.muted(bigint, text, text[], int8multirange[]) IS
    'Internal: whether the notification with that id and kind is muted, by what belfry.mailbox tells. Postgres writes '
    'it into the query (inlines it).';
--- end ---

--- functions/first_contact.sql ---
CREATE OR REPLACE FUNCTION belfry.first_contact(recipient text) RETURNS bigint
    LANGUAGE sql VOLATILE
AS $$
SELECT least(
    (SELECT min(notification.id) FROM belfry.notification WHERE notification.recipient = first_contact.recipient),
    (SELECT min(subscription.since) FROM belfry.subscription WHERE subscription.recipient = first_contact.recipient),
    belfry.last_position())
$$;
COMMENT ON FUNCTION belfry.first_contact(text) IS
    'Internal: since which position the topic * concerns a recipient who is not in belfry.inbox: their first direct '
    'notification, their first subscription, or now.';
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

--- functions/stays.sql ---
CREATE OR REPLACE FUNCTION belfry.stays(recipient text, since bigint, topics text[] DEFAULT NULL)
    RETURNS TABLE (topic text, since bigint, until bigint)
    LANGUAGE sql STABLE
AS $$
SELECT s.topic, s.since, s.until FROM belfry.subscription AS s
WHERE s.recipient = stays.recipient AND (stays.topics IS NULL OR s.topic = ANY (stays.topics))
UNION ALL
SELECT '*', stays.since, NULL WHERE stays.topics IS NULL OR '*' = ANY (stays.topics)
$$;
COMMENT ON FUNCTION belfry.stays(text, bigint, text[]) IS
    'Internal: the recipient''s stays in topics, the one in * being since their first contact, which belfry.mailbox '
    'tells; topics narrow. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/audience.sql ---
CREATE OR REPLACE FUNCTION belfry.audience(
    recipient text, since bigint, above bigint, through bigint, topics text[] DEFAULT NULL
) RETURNS TABLE (id bigint, kind text, tenant text, expires_at timestamptz, ended_at timestamptz)
    LANGUAGE sql STABLE
AS $$
SELECT n.id, n.kind, n.tenant, n.expires_at, n.ended_at FROM belfry.notification AS n
WHERE n.recipient = audience.recipient AND n.id > audience.above AND n.id <= audience.through
UNION ALL
SELECT posted.id, posted.kind, posted.tenant, posted.expires_at, posted.ended_at
FROM belfry.stays(audience.recipient, audience.since, audience.topics) AS stay
CROSS JOIN LATERAL (
    SELECT n.id, n.kind, n.tenant, n.expires_at, n.ended_at FROM belfry.notification AS n
    WHERE n.topic = stay.topic AND n.id > greatest(stay.since, audience.above)
        AND n.id <= least(stay.until - 1, audience.through)
    OFFSET 0 -- stay by stay, over the index
) AS posted
$$;
COMMENT ON FUNCTION belfry.audience(text, bigint, bigint, bigint, text[]) IS
    'Internal: the notifications above one position up to another that were sent to the recipient, directly or by '
    'topic, dead and muted ones too. since is that of belfry.mailbox; topics narrow. Postgres writes it into the query '
    '(inlines it).';
--- end ---

--- functions/mutes.sql ---
CREATE OR REPLACE FUNCTION belfry.mutes(recipient text, OUT kinds text[], OUT ranges int8multirange[])
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    kinds := '{}';
    ranges := '{}';
    IF NOT EXISTS (SELECT FROM belfry.kind WHERE NOT kind.enabled) AND NOT EXISTS (
        SELECT FROM belfry.preference WHERE preference.recipient = mutes.recipient AND NOT preference.enabled)
    THEN
        RETURN;
    END IF;
    -- What the recipient chose for the kind goes before what they chose for *, and that before the default.
    WITH chosen AS (
        SELECT preference.kind,
            coalesce(range_agg(int8range(preference.since, preference.until, '()')) FILTER (WHERE preference.enabled),
                '{}') AS wanted,
            coalesce(range_agg(int8range(preference.since, preference.until, '()'))
                FILTER (WHERE NOT preference.enabled), '{}') AS unwanted
        FROM belfry.preference WHERE preference.recipient = mutes.recipient GROUP BY preference.kind
    ), declared AS (
        SELECT kind.kind,
            coalesce(range_agg(int8range(kind.since, kind.until, '()')) FILTER (WHERE NOT kind.enabled), '{}') AS off,
            coalesce(range_agg(int8range(kind.since, kind.until, '()')) FILTER (WHERE kind.required), '{}') AS required
        FROM belfry.kind GROUP BY kind.kind HAVING bool_or(kind.required OR NOT kind.enabled)
    ), everything AS (
        SELECT coalesce((SELECT chosen.wanted FROM chosen WHERE chosen.kind = '*'), '{}') AS wanted,
            coalesce((SELECT chosen.unwanted FROM chosen WHERE chosen.kind = '*'), '{}') AS unwanted
    ), named AS (
        SELECT '*' AS kind UNION SELECT chosen.kind FROM chosen UNION SELECT declared.kind FROM declared
    ), judged AS (
        SELECT named.kind,
            ((coalesce(declared.off, '{}') - everything.wanted + everything.unwanted)
                - coalesce(own.wanted, '{}') + coalesce(own.unwanted, '{}'))
                - coalesce(declared.required, '{}') AS range
        FROM named CROSS JOIN everything
        LEFT JOIN declared ON declared.kind = named.kind
        LEFT JOIN chosen AS own ON own.kind = named.kind AND own.kind <> '*'
    )
    SELECT array_agg(judged.kind ORDER BY judged.kind <> '*', judged.kind),
        array_agg(judged.range ORDER BY judged.kind <> '*', judged.kind)
    INTO kinds, ranges FROM judged;
END
$$;
COMMENT ON FUNCTION belfry.mutes(text) IS
    'Internal, for belfry.muted: at which positions the recipient had muted which kinds. The first is *, for every kind '
    'that is not named; nothing where nobody muted anything.';
--- end ---

--- functions/mailbox.sql ---
CREATE OR REPLACE FUNCTION belfry.mailbox(
    recipient text, OUT since bigint, OUT read_through bigint, OUT seen_through bigint, OUT archived_through bigint,
    OUT kinds text[], OUT ranges int8multirange[]
)
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    SELECT inbox.since, inbox.read_through, inbox.seen_through, inbox.archived_through
    INTO since, read_through, seen_through, archived_through
    FROM belfry.inbox WHERE inbox.recipient = mailbox.recipient;
    IF NOT FOUND THEN
        since := belfry.first_contact(mailbox.recipient);
        read_through := 0;
        seen_through := 0;
        archived_through := 0;
    END IF;
    SELECT mutes.kinds, mutes.ranges INTO kinds, ranges FROM belfry.mutes(mailbox.recipient);
END
$$;
COMMENT ON FUNCTION belfry.mailbox(text) IS
    'Internal: what is needed to tell what stands in a recipient''s inbox: first contact, watermarks and mutes. Writes '
    'nothing: who has no row yet gets what it would say.';
--- end ---

--- functions/tally.sql ---
CREATE OR REPLACE FUNCTION belfry.tally(
    recipient text, tenant text, topics text[], head bigint, gaps int8multirange,
    OUT unread bigint, OUT unseen bigint
)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(tally.recipient);
    -- Above it no watermark says anything; at or below it only receipts that contradict one are of interest.
    ground CONSTANT bigint := greatest(box.read_through, box.archived_through);
BEGIN
    -- NOT IN, because it is hashed whatever the planner expects.
    SELECT count(*), count(*) FILTER (WHERE NOT counted.seen) INTO unread, unseen
    FROM (
        SELECT CASE WHEN item.id > box.seen_through THEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground AND c.seen_at < 'infinity')
            ELSE item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground AND c.seen_at = 'infinity')
            END AS seen
        FROM belfry.audience(
            tally.recipient, box.since, ground, coalesce(tally.head, 9223372036854775807), tally.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR item.tenant = tally.tenant)
            AND NOT item.id <@ tally.gaps
            AND item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground
                    AND (c.read_at < 'infinity' OR c.archived_at < 'infinity' OR c.snoozed_until > now()))
        UNION ALL
        SELECT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through)
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = tally.recipient AND c.notification_id <= ground
            AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
            AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            AND (c.read_at = 'infinity' OR n.id > box.read_through)
            AND (c.archived_at = 'infinity' OR n.id > box.archived_through)
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (tally.tenant IS NULL OR n.tenant = tally.tenant)
            AND (tally.head IS NULL OR n.id <= tally.head)
            AND NOT n.id <@ tally.gaps
            AND (n.recipient = tally.recipient OR EXISTS (
                SELECT FROM belfry.stays(tally.recipient, box.since, tally.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
    ) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.tally(text, text, text[], bigint, int8multirange) IS
    'Internal: counts what is unread, and of that what is unseen, up to the head and outside of the gaps, in the snapshot '
    'of the calling statement. Reads what is above the watermarks, and the receipts that contradict them.';
--- end ---

--- functions/total.sql ---
CREATE OR REPLACE FUNCTION belfry.total(recipient text, tenant text, topics text[], OUT total bigint)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(total.recipient);
BEGIN
    SELECT count(*) INTO total
    FROM (
        SELECT item.id
        FROM belfry.audience(
            total.recipient, box.since, box.archived_through, 9223372036854775807, total.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR item.tenant = total.tenant)
            AND item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > box.archived_through
                    AND (c.archived_at < 'infinity' OR c.snoozed_until > now()))
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = total.recipient AND c.notification_id <= box.archived_through
            AND c.archived_at = 'infinity'
            AND (c.snoozed_until IS NULL OR c.snoozed_until <= now())
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR n.tenant = total.tenant)
            AND (n.recipient = total.recipient OR EXISTS (
                SELECT FROM belfry.stays(total.recipient, box.since, total.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
    ) AS counted;
END
$$;
COMMENT ON FUNCTION belfry.total(text, text, text[]) IS
    'Internal: counts what is in the inbox, read or not, in the snapshot of the calling statement.';
--- end ---

--- functions/greet.sql ---
CREATE OR REPLACE FUNCTION belfry.greet(recipient text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM belfry.require_recipient(greet.recipient);
    -- A read-only transaction, also on a standby, reads as if the contact had been made.
    IF current_setting('transaction_read_only') = 'off'
        AND NOT EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = greet.recipient) THEN
        PERFORM belfry.contact(ARRAY[greet.recipient]);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.greet(text) IS
    'Internal: refuses what is no recipient, and records the first contact where there is none and it can be written.';
--- end ---

--- functions/badges.sql ---
CREATE OR REPLACE FUNCTION belfry.badges(
    scopes jsonb, head bigint DEFAULT NULL, los bigint[] DEFAULT '{}', his bigint[] DEFAULT '{}'
) RETURNS TABLE (place integer, unread bigint, unseen bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gaps CONSTANT int8multirange := coalesce((
        SELECT range_agg(int8range(gap.lo, gap.hi, '[]')) FROM unnest(badges.los, badges.his) AS gap (lo, hi)), '{}');
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
    FROM belfry.tally(counts.recipient, counts.tenant, counts.topics, NULL, '{}') AS fresh,
        belfry.total(counts.recipient, counts.tenant, counts.topics) AS kept;
END
$$;
COMMENT ON FUNCTION belfry.counts(text, text, text[]) IS
    'How many notifications of the recipient are unread, unseen, and in the inbox at all (neither archived nor snoozed), '
    'exactly, in one snapshot. tenant and topics narrow: what was sent to the recipient directly is in every topic.';
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
GRANT EXECUTE ON FUNCTION belfry.counts TO belfry_sender;

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

INSERT INTO belfry.migration (version, name) VALUES (2, 'inbox');
SET LOCAL ROLE NONE;
