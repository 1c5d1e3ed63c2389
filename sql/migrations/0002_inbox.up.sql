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
CREATE INDEX receipt_notification_idx ON belfry.receipt (notification_id, recipient);
CREATE INDEX receipt_due_idx ON belfry.receipt (snoozed_until) WHERE snoozed_until IS NOT NULL;
CREATE INDEX receipt_snoozed_idx ON belfry.receipt (recipient, notification_id) WHERE snoozed_until IS NOT NULL;
CREATE INDEX receipt_unread_idx ON belfry.receipt (recipient, notification_id)
    WHERE (read_at = 'infinity' OR archived_at = 'infinity')
        AND coalesce(read_at, 'infinity') = 'infinity' AND coalesce(archived_at, 'infinity') = 'infinity';
CREATE INDEX receipt_unseen_idx ON belfry.receipt (recipient, notification_id)
    WHERE (seen_at = 'infinity' OR archived_at = 'infinity')
        AND coalesce(seen_at, 'infinity') = 'infinity' AND coalesce(archived_at, 'infinity') = 'infinity';
CREATE INDEX receipt_unarchived_idx ON belfry.receipt (recipient, notification_id) WHERE archived_at = 'infinity';
COMMENT ON TABLE belfry.receipt IS
    'What a recipient did with a notification, where the watermarks of belfry.inbox do not say it already. In each of '
    'seen_at, read_at and archived_at NULL leaves it to the watermark, infinity says expressly not, -infinity says yes '
    'at an unknown time. Rows that say no more than the watermarks are deleted. Only functions write it.';
COMMENT ON COLUMN belfry.receipt.notification_id IS
    'The notification. No foreign key: it would lock the row of a broadcast for each of its readers.';
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
SELECT muted.kinds IS NOT NULL
    AND coalesce(muted.id <@ coalesce(muted.ranges[array_position(muted.kinds, muted.kind)], muted.ranges[1]), false)
$$;
COMMENT ON FUNCTION belfry.muted(bigint, text, text[], int8multirange[]) IS
    'Internal: whether the notification with that id and kind is muted, by what belfry.mailbox tells. Postgres writes '
    'it into the query (inlines it).';
--- end ---

--- functions/implied.sql ---
CREATE OR REPLACE FUNCTION belfry.implied(stamp timestamptz, covered boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE
AS $$
SELECT implied.stamp IS NULL OR (implied.stamp < 'infinity') = implied.covered
$$;
COMMENT ON FUNCTION belfry.implied(timestamptz, boolean) IS
    'Internal: whether what a receipt says is what the watermark says without it, which covers it or not. Postgres writes '
    'it into the query (inlines it).';
--- end ---

--- functions/stamp.sql ---
CREATE OR REPLACE FUNCTION belfry.stamp(so boolean, was timestamptz, covered boolean) RETURNS timestamptz
    LANGUAGE sql STABLE
AS $$
SELECT CASE
    WHEN NOT stamp.so THEN CASE WHEN stamp.covered THEN 'infinity'::timestamptz END
    WHEN stamp.was < 'infinity' THEN stamp.was
    WHEN stamp.was IS NULL AND stamp.covered THEN '-infinity'
    ELSE now()
END
$$;
COMMENT ON FUNCTION belfry.stamp(boolean, timestamptz, boolean) IS
    'Internal: what a receipt must say, so that it is so or not: in seen_at, read_at or archived_at, where there was what '
    'was, and covered by the watermark or not. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/fits.sql ---
CREATE OR REPLACE FUNCTION belfry.fits(
    state text, seen boolean, read boolean, archived boolean, snoozed_until timestamptz
) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
SELECT CASE fits.state
    WHEN 'archived' THEN fits.archived
    WHEN 'snoozed' THEN NOT fits.archived AND fits.snoozed_until > now()
    ELSE NOT fits.archived AND (fits.snoozed_until IS NULL OR fits.snoozed_until <= now()) AND CASE fits.state
        WHEN 'unread' THEN NOT fits.read WHEN 'read' THEN fits.read
        WHEN 'unseen' THEN NOT fits.seen WHEN 'seen' THEN fits.seen
        ELSE true END
END
$$;
COMMENT ON FUNCTION belfry.fits(text, boolean, boolean, boolean, timestamptz) IS
    'Internal: whether a notification with that state is in the list of that name: all, unread, read, unseen, seen, '
    'archived or snoozed. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/require_argument.sql ---
CREATE OR REPLACE FUNCTION belfry.require_argument(valid boolean, name text, detail text, hint text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF require_argument.valid IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF010', COLUMN = require_argument.name,
            MESSAGE = format('%s is not valid', require_argument.name),
            DETAIL = require_argument.detail,
            HINT = require_argument.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_argument(boolean, text, text, text) IS
    'Internal: raises BF010 with the name of the argument unless it is valid.';
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
    'that is not named; NULL where nothing is muted.';
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

--- functions/shelf.sql ---
CREATE OR REPLACE FUNCTION belfry.shelf(
    reader text, seen_through bigint, read_through bigint, archived_through bigint,
    muted_kinds text[], muted_ranges int8multirange[],
    state text, kinds text[], tags text[], tenant text
) RETURNS TABLE (id bigint, recipient text, topic text, group_key text)
    LANGUAGE sql STABLE
AS $$
SELECT n.id, n.recipient, n.topic, n.group_key
FROM belfry.notification AS n
LEFT JOIN LATERAL (
    SELECT * FROM belfry.receipt WHERE receipt.recipient = shelf.reader AND receipt.notification_id = n.id
    OFFSET 0 -- one by one, and never all receipts of the reader
) AS c ON true
WHERE belfry.alive(n.ended_at, n.expires_at)
    AND NOT belfry.muted(n.id, n.kind, shelf.muted_kinds, shelf.muted_ranges)
    AND (shelf.tenant IS NULL OR n.tenant = shelf.tenant)
    AND (shelf.kinds IS NULL OR n.kind = ANY (shelf.kinds))
    AND (shelf.tags IS NULL OR n.tags && shelf.tags)
    AND belfry.fits(
        shelf.state,
        coalesce(c.seen_at < 'infinity', n.id <= shelf.seen_through),
        coalesce(c.read_at < 'infinity', n.id <= shelf.read_through),
        coalesce(c.archived_at < 'infinity', n.id <= shelf.archived_through),
        c.snoozed_until)
$$;
COMMENT ON FUNCTION belfry.shelf(
    text, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text
) IS
    'Internal: all notifications that would be in that list of the reader if they were sent to them, which the caller '
    'must see to. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/grouped.sql ---
CREATE OR REPLACE FUNCTION belfry.grouped(
    reader text, since bigint, seen_through bigint, read_through bigint, archived_through bigint,
    muted_kinds text[], muted_ranges int8multirange[],
    state text, kinds text[], tags text[], tenant text, recipient text, topic text, group_key text
) RETURNS TABLE (id bigint)
    LANGUAGE sql STABLE
AS $$
SELECT other.id
FROM belfry.shelf(grouped.reader, grouped.seen_through, grouped.read_through, grouped.archived_through,
    grouped.muted_kinds, grouped.muted_ranges, grouped.state, grouped.kinds, grouped.tags, grouped.tenant) AS other
WHERE grouped.topic IS NULL AND other.recipient = grouped.recipient AND other.group_key = grouped.group_key
UNION ALL
SELECT other.id
FROM belfry.stays(grouped.reader, grouped.since, ARRAY[grouped.topic]) AS stay
CROSS JOIN belfry.shelf(grouped.reader, grouped.seen_through, grouped.read_through, grouped.archived_through,
    grouped.muted_kinds, grouped.muted_ranges, grouped.state, grouped.kinds, grouped.tags, grouped.tenant) AS other
WHERE grouped.topic IS NOT NULL AND other.topic = grouped.topic AND other.group_key = grouped.group_key
    AND other.id > stay.since AND (stay.until IS NULL OR other.id < stay.until)
$$;
COMMENT ON FUNCTION belfry.grouped(
    text, bigint, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text, text, text, text
) IS
    'Internal: what is in that list of the reader with that group_key, sent to them directly (recipient) or by that '
    'topic. Postgres writes it into the query (inlines it).';
--- end ---

--- functions/marked.sql ---
CREATE OR REPLACE FUNCTION belfry.marked(
    reader text, state text, seen_through bigint, read_through bigint, archived_through bigint, top bigint,
    max_rows integer
) RETURNS TABLE (id bigint)
    LANGUAGE sql STABLE
AS $$
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'all' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, marked.archived_through) AND c.archived_at = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'unread' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, greatest(marked.read_through, marked.archived_through))
     AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
     AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'unseen' AND c.recipient = marked.reader
     AND c.notification_id <= least(marked.top, greatest(marked.seen_through, marked.archived_through))
     AND (c.seen_at = 'infinity' OR c.archived_at = 'infinity')
     AND coalesce(c.seen_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state = 'snoozed' AND c.recipient = marked.reader
     AND c.notification_id <= marked.top AND c.snoozed_until IS NOT NULL
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
UNION ALL
(SELECT c.notification_id FROM belfry.receipt AS c
 WHERE marked.state IN ('read', 'seen', 'archived') AND c.recipient = marked.reader AND c.notification_id <= marked.top
     AND c.notification_id > CASE marked.state WHEN 'read' THEN marked.read_through
         WHEN 'seen' THEN marked.seen_through ELSE marked.archived_through END
     AND CASE marked.state WHEN 'read' THEN c.read_at WHEN 'seen' THEN c.seen_at ELSE c.archived_at END < 'infinity'
 ORDER BY c.notification_id DESC LIMIT marked.max_rows)
$$;
COMMENT ON FUNCTION belfry.marked(text, text, bigint, bigint, bigint, bigint, integer) IS
    'Internal: what may be in that list of the reader though its watermarks say no, by the receipts: the newest, each list '
    'along its own index. Postgres writes it into the query (inlines it).';
--- end ---

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
    many CONSTANT integer := 2000;
    ground_read bigint := ground;
BEGIN
    IF (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = tally.recipient AND c.notification_id <= ground
                AND (c.read_at = 'infinity' OR c.archived_at = 'infinity')
                AND coalesce(c.read_at, 'infinity') = 'infinity' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            LIMIT many) AS counted
    ) = many THEN
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
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.seen_at < 'infinity')
            ELSE item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = tally.recipient AND c.notification_id > ground_read AND c.seen_at = 'infinity')
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
        UNION ALL
        SELECT coalesce(c.seen_at < 'infinity', n.id <= box.seen_through)
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE ground_read = ground AND c.recipient = tally.recipient AND c.notification_id <= ground
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
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(total.recipient);
    ground CONSTANT bigint := box.archived_through;
    many CONSTANT integer := 2000; -- as in belfry.tally
    ground_read bigint := ground;
BEGIN
    IF (
        SELECT count(*) FROM (
            SELECT FROM belfry.receipt AS c
            WHERE c.recipient = total.recipient AND c.notification_id <= ground AND c.archived_at = 'infinity'
            LIMIT many) AS counted
    ) = many THEN
        SELECT min(c.notification_id) - 1 INTO ground_read FROM belfry.receipt AS c
        WHERE c.recipient = total.recipient AND c.notification_id <= ground AND c.archived_at = 'infinity';
    END IF;
    SELECT count(*) INTO total
    FROM (
        SELECT item.id
        FROM belfry.audience(total.recipient, box.since, ground_read, 9223372036854775807, total.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (total.tenant IS NULL OR item.tenant = total.tenant)
            AND CASE WHEN item.id > ground THEN item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > ground
                    AND (c.archived_at < 'infinity' OR c.snoozed_until > now()))
            ELSE item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = total.recipient AND c.notification_id > ground_read AND c.notification_id <= ground
                    AND c.archived_at = 'infinity' AND (c.snoozed_until IS NULL OR c.snoozed_until <= now()))
            END
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE ground_read = ground AND c.recipient = total.recipient AND c.notification_id <= ground
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

--- functions/listing.sql ---
CREATE OR REPLACE FUNCTION belfry.listing(
    reader text, state text, before bigint, max_rows integer, kinds text[], tags text[], tenant text, topics text[]
) RETURNS TABLE (
    id bigint, group_count integer, group_ids bigint[], seen boolean, read boolean, archived boolean,
    snoozed_until timestamptz
)
    LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(listing.reader);
    -- What the watermarks say to be in the list; the rest is found by its receipts (belfry.marked).
    low CONSTANT bigint := CASE listing.state
        WHEN 'all' THEN box.archived_through
        WHEN 'unread' THEN greatest(box.read_through, box.archived_through)
        WHEN 'unseen' THEN greatest(box.seen_through, box.archived_through)
        ELSE 0 END;
    high CONSTANT bigint := CASE listing.state
        WHEN 'read' THEN box.read_through WHEN 'seen' THEN box.seen_through
        WHEN 'archived' THEN box.archived_through WHEN 'snoozed' THEN 0
        ELSE 9223372036854775807 END;
    top bigint := coalesce(listing.before - 1, 9223372036854775807);
    batch integer := listing.max_rows;
    marks bigint[]; -- the newest that only receipts tell of
    edge bigint; -- below it there may be more of them
    found bigint;
    lowest bigint;
    leaders bigint[];
    listed bigint[] := '{}';
BEGIN
    LOOP
        SELECT coalesce(array_agg(newest.id ORDER BY newest.id), '{}') INTO marks FROM (
            SELECT m.id FROM belfry.marked(listing.reader, listing.state, box.seen_through, box.read_through,
                box.archived_through, top, batch * 2) AS m ORDER BY m.id DESC LIMIT batch * 2) AS newest;
        edge := CASE WHEN cardinality(marks) = batch * 2 THEN marks[1] ELSE 0 END;
        -- Each source along its own index: hence rows are compared with rows, and ordered by the same two columns.
        WITH candidate AS (
            (SELECT n.id, n.recipient, n.topic, n.group_key
             FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
             WHERE n.recipient IS NOT NULL AND (n.recipient, n.id) > (listing.reader, low)
                AND (n.recipient, n.id) <= (listing.reader, least(high, top))
             ORDER BY n.recipient DESC, n.id DESC LIMIT batch)
            UNION ALL
            SELECT posted.* FROM belfry.stays(listing.reader, box.since, listing.topics) AS stay CROSS JOIN LATERAL (
                SELECT n.id, n.recipient, n.topic, n.group_key
                FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                    box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
                WHERE n.topic IS NOT NULL AND (n.topic, n.id) > (stay.topic, greatest(stay.since, low))
                    AND (n.topic, n.id) <= (stay.topic, least(stay.until - 1, high, top))
                ORDER BY n.topic DESC, n.id DESC LIMIT batch) AS posted
            UNION ALL
            SELECT kept.* FROM unnest(marks) AS m (id) CROSS JOIN LATERAL (
                SELECT n.id, n.recipient, n.topic, n.group_key
                FROM belfry.shelf(listing.reader, box.seen_through, box.read_through, box.archived_through, box.kinds,
                    box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant) AS n
                WHERE n.id = m.id AND (n.recipient = listing.reader OR EXISTS (
                    SELECT FROM belfry.stays(listing.reader, box.since, listing.topics) AS stay
                    WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
                OFFSET 0) AS kept
        ), newest AS (
            SELECT candidate.* FROM candidate WHERE candidate.id >= edge ORDER BY candidate.id DESC LIMIT batch
        )
        SELECT count(*), min(newest.id), coalesce(array_agg(newest.id ORDER BY newest.id DESC) FILTER (
            WHERE newest.group_key IS NULL OR NOT EXISTS (
                SELECT FROM belfry.grouped(listing.reader, box.since, box.seen_through, box.read_through,
                    box.archived_through, box.kinds, box.ranges, listing.state, listing.kinds, listing.tags,
                    listing.tenant, newest.recipient, newest.topic, newest.group_key) AS other
                WHERE other.id > newest.id)), '{}')
        INTO found, lowest, leaders FROM newest;
        listed := listed || leaders;
        EXIT WHEN cardinality(listed) >= listing.max_rows OR (found < batch AND edge = 0);
        -- What is behind the newest of its group, or not in the filter, is passed over, however much that is.
        top := CASE WHEN found < batch THEN edge ELSE lowest END - 1;
        batch := least(batch * 4, 10000);
    END LOOP;
    RETURN QUERY
    SELECT n.id, coalesce(team.size, 1)::integer, coalesce(team.ids, ARRAY[n.id]),
        coalesce(c.seen_at < 'infinity', n.id <= box.seen_through),
        coalesce(c.read_at < 'infinity', n.id <= box.read_through),
        coalesce(c.archived_at < 'infinity', n.id <= box.archived_through),
        CASE WHEN c.snoozed_until > now() THEN c.snoozed_until END
    FROM unnest(listed[1:listing.max_rows]) AS shown (id)
    CROSS JOIN LATERAL (SELECT * FROM belfry.notification WHERE notification.id = shown.id OFFSET 0) AS n
    LEFT JOIN LATERAL (
        SELECT * FROM belfry.receipt WHERE receipt.recipient = listing.reader AND receipt.notification_id = n.id
        OFFSET 0) AS c ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS size, (array_agg(other.id ORDER BY other.id DESC))[1:100] AS ids
        FROM belfry.grouped(listing.reader, box.since, box.seen_through, box.read_through, box.archived_through,
            box.kinds, box.ranges, listing.state, listing.kinds, listing.tags, listing.tenant, n.recipient, n.topic,
            n.group_key) AS other
    ) AS team ON n.group_key IS NOT NULL;
END
$$;
COMMENT ON FUNCTION belfry.listing(text, text, bigint, integer, text[], text[], text, text[]) IS
    'Internal: what belfry.list_inbox shows, in the snapshot of the calling statement, without the content.';
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

--- functions/enter.sql ---
CREATE OR REPLACE FUNCTION belfry.enter(recipient text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM belfry.greet(enter.recipient);
    -- An update, not a lock alone: a snapshot that does not see it must not write on top of it (it gets 40001).
    UPDATE belfry.inbox SET since = inbox.since WHERE inbox.recipient = enter.recipient;
END
$$;
COMMENT ON FUNCTION belfry.enter(text) IS
    'Internal: makes the caller the only one who changes the state of this recipient until the end of the transaction. '
    'Called before a position is taken, so that the changes of one recipient are in the order of their commits.';
--- end ---

--- functions/note.sql ---
CREATE OR REPLACE FUNCTION belfry.note(recipient text, verb text, ids bigint[], through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO belfry.change (recipient, verb, ids, through)
    SELECT note.recipient, note.verb, array_agg(named.id ORDER BY named.place),
        CASE WHEN (named.place - 1) / 1000 = 0 THEN note.through END
    FROM unnest(note.ids) WITH ORDINALITY AS named (id, place)
    GROUP BY (named.place - 1) / 1000 ORDER BY (named.place - 1) / 1000;
    IF NOT FOUND THEN
        INSERT INTO belfry.change (recipient, verb, through) VALUES (note.recipient, note.verb, note.through);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.note(text, text, bigint[], bigint) IS
    'Internal: writes what became of notifications of a recipient: one change, or more of 1000 ids each, of which the '
    'first says through.';
--- end ---

--- functions/settled_here.sql ---
CREATE OR REPLACE FUNCTION belfry.settled_here() RETURNS bigint
    LANGUAGE plpgsql
AS $$
BEGIN
    -- A snapshot of the whole transaction does not see what has committed since, so what is settled now is too much.
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        RETURN belfry.settle();
    END IF;
    RETURN (SELECT settled.through FROM belfry.settled);
END
$$;
COMMENT ON FUNCTION belfry.settled_here() IS
    'Internal: up to which position the next statement of this transaction sees everything that will ever be there.';
--- end ---

--- functions/tidy.sql ---
CREATE OR REPLACE FUNCTION belfry.tidy(recipient text, ids bigint[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    DELETE FROM belfry.receipt AS c USING belfry.inbox AS box
    WHERE box.recipient = tidy.recipient AND c.recipient = tidy.recipient AND c.notification_id = ANY (tidy.ids)
        AND c.snoozed_until IS NULL
        AND belfry.implied(c.seen_at, c.notification_id <= box.seen_through)
        AND belfry.implied(c.read_at, c.notification_id <= box.read_through)
        AND belfry.implied(c.archived_at, c.notification_id <= box.archived_through);
END
$$;
COMMENT ON FUNCTION belfry.tidy(text, bigint[]) IS
    'Internal: deletes those of the receipts that say no more than the watermarks.';
--- end ---

--- functions/raise_watermark.sql ---
CREATE OR REPLACE FUNCTION belfry.raise_watermark(recipient text, verb text, through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    box belfry.inbox;
BEGIN
    UPDATE belfry.inbox SET
        seen_through = CASE raise_watermark.verb WHEN 'seen' THEN greatest(inbox.seen_through, raise_watermark.through)
            ELSE inbox.seen_through END,
        read_through = CASE raise_watermark.verb WHEN 'read' THEN greatest(inbox.read_through, raise_watermark.through)
            ELSE inbox.read_through END,
        archived_through = CASE raise_watermark.verb
            WHEN 'archived' THEN greatest(inbox.archived_through, raise_watermark.through)
            ELSE inbox.archived_through END
    WHERE inbox.recipient = raise_watermark.recipient
    RETURNING inbox.* INTO box;
    DELETE FROM belfry.receipt AS c
    WHERE c.recipient = raise_watermark.recipient AND c.notification_id <= raise_watermark.through
        AND c.snoozed_until IS NULL
        AND belfry.implied(c.seen_at, c.notification_id <= box.seen_through)
        AND belfry.implied(c.read_at, c.notification_id <= box.read_through)
        AND belfry.implied(c.archived_at, c.notification_id <= box.archived_through);
END
$$;
COMMENT ON FUNCTION belfry.raise_watermark(text, text, bigint) IS
    'Internal: raises the watermark of a verb, and deletes the receipts at or below it that say no more than the '
    'watermarks. What the watermark would say wrongly has its receipt already.';
--- end ---

--- functions/compact.sql ---
CREATE OR REPLACE FUNCTION belfry.compact(recipient text, verb text, turned bigint) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(compact.recipient);
    old CONSTANT bigint := CASE compact.verb
        WHEN 'seen' THEN box.seen_through WHEN 'read' THEN box.read_through WHEN 'archived' THEN box.archived_through
    END;
    settled bigint;
    marks bigint;
    raised bigint;
BEGIN
    IF old IS NULL THEN
        RETURN;
    END IF;
    IF compact.verb = 'read' THEN -- who reads has seen
        PERFORM belfry.compact(compact.recipient, 'seen', compact.turned);
    END IF;
    SELECT count(*) INTO marks FROM belfry.receipt AS c
    WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
        WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity';
    -- Once for every hundred, since it reads all that is above the watermark.
    IF marks <= 500 OR (marks - 1) / 100 = (marks - compact.turned - 1) / 100 THEN
        RETURN;
    END IF;
    settled := belfry.settled_here();
    SELECT max(summed.id) INTO raised FROM (
        SELECT item.id, sum(CASE WHEN item.id IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
                    WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity'
            ) THEN 1 ELSE -1 END) OVER (ORDER BY item.id) AS balance
        FROM belfry.audience(compact.recipient, box.since, old, settled) AS item
    ) AS summed WHERE summed.balance >= 0;
    IF raised IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO belfry.receipt AS kept (recipient, notification_id, seen_at, read_at, archived_at)
    SELECT compact.recipient, item.id,
        belfry.stamp(compact.verb <> 'seen' AND item.id <= box.seen_through, NULL, item.id <= box.seen_through
            OR compact.verb = 'seen'),
        belfry.stamp(compact.verb <> 'read' AND item.id <= box.read_through, NULL, item.id <= box.read_through
            OR compact.verb = 'read'),
        belfry.stamp(compact.verb <> 'archived' AND item.id <= box.archived_through, NULL,
            item.id <= box.archived_through OR compact.verb = 'archived')
    FROM belfry.audience(compact.recipient, box.since, old, raised) AS item
    WHERE item.id NOT IN (
        SELECT c.notification_id FROM belfry.receipt AS c
        WHERE c.recipient = compact.recipient AND c.notification_id > old AND CASE compact.verb
            WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity')
    ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
        seen_at = CASE compact.verb WHEN 'seen' THEN 'infinity' ELSE kept.seen_at END,
        read_at = CASE compact.verb WHEN 'read' THEN 'infinity' ELSE kept.read_at END,
        archived_at = CASE compact.verb WHEN 'archived' THEN 'infinity' ELSE kept.archived_at END;
    PERFORM belfry.raise_watermark(compact.recipient, compact.verb, raised);
END
$$;
COMMENT ON FUNCTION belfry.compact(text, text, bigint) IS
    'Internal: where more than 500 receipts above a watermark say the same (verb seen, read or archived), raises it as '
    'far as at least half of what it passes says so, and gives the others a receipt that says the contrary. So a count '
    'reads about as many rows as it counts. Changes nothing that anybody sees; turned is how many receipts are new.';
--- end ---

--- functions/mark.sql ---
CREATE OR REPLACE FUNCTION belfry.mark(
    recipient text, verb text, ids bigint[], until timestamptz, tenant text, topics text[]
) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    box record;
    turned bigint[];
BEGIN
    PERFORM belfry.require_argument(
        mark.ids IS NOT NULL, 'ids', 'It is NULL.', 'Give the ids of notifications; unknown ones are passed over.');
    PERFORM belfry.enter(mark.recipient);
    box := belfry.mailbox(mark.recipient);
    WITH named AS (
        SELECT n.id, c.seen_at, c.read_at, c.archived_at, c.snoozed_until,
            coalesce(c.seen_at < 'infinity', n.id <= box.seen_through) AS seen,
            coalesce(c.read_at < 'infinity', n.id <= box.read_through) AS read,
            coalesce(c.archived_at < 'infinity', n.id <= box.archived_through) AS archived
        FROM belfry.notification AS n
        LEFT JOIN LATERAL (
            SELECT * FROM belfry.receipt WHERE receipt.recipient = mark.recipient AND receipt.notification_id = n.id
            OFFSET 0) AS c ON true
        WHERE n.id = ANY (mark.ids)
            AND (n.recipient = mark.recipient OR EXISTS (
                SELECT FROM belfry.stays(mark.recipient, box.since, mark.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (mark.tenant IS NULL OR n.tenant = mark.tenant)
            AND (mark.verb <> 'unsnoozed' OR c.snoozed_until IS NOT NULL)
    ), wanted AS (
        SELECT named.*,
            (named.seen OR mark.verb IN ('seen', 'read')) AND mark.verb <> 'unsnoozed' AS now_seen,
            (named.read OR mark.verb = 'read') AND mark.verb NOT IN ('unread', 'unsnoozed') AS now_read,
            (named.archived OR mark.verb = 'archived') AND mark.verb <> 'unarchived' AS now_archived,
            CASE mark.verb WHEN 'snoozed' THEN mark.until WHEN 'unsnoozed' THEN NULL ELSE named.snoozed_until END
                AS now_snoozed
        FROM named
    ), written AS (
        INSERT INTO belfry.receipt (recipient, notification_id, seen_at, read_at, archived_at, snoozed_until)
        SELECT mark.recipient, wanted.id,
            belfry.stamp(wanted.now_seen, wanted.seen_at, wanted.id <= box.seen_through),
            belfry.stamp(wanted.now_read, wanted.read_at, wanted.id <= box.read_through),
            belfry.stamp(wanted.now_archived, wanted.archived_at, wanted.id <= box.archived_through),
            wanted.now_snoozed
        FROM wanted
        WHERE (wanted.seen, wanted.read, wanted.archived, wanted.snoozed_until) IS DISTINCT FROM
            (wanted.now_seen, wanted.now_read, wanted.now_archived, wanted.now_snoozed)
        ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
            seen_at = excluded.seen_at, read_at = excluded.read_at, archived_at = excluded.archived_at,
            snoozed_until = excluded.snoozed_until
        RETURNING receipt.notification_id
    )
    SELECT coalesce(array_agg(written.notification_id ORDER BY written.notification_id), '{}') INTO turned FROM written;
    IF turned <> '{}' THEN
        PERFORM belfry.note(mark.recipient, mark.verb, turned, NULL);
        PERFORM belfry.tidy(mark.recipient, turned);
        PERFORM belfry.compact(mark.recipient, mark.verb, cardinality(turned));
    END IF;
    RETURN cardinality(turned);
END
$$;
COMMENT ON FUNCTION belfry.mark(text, text, bigint[], timestamptz, text, text[]) IS
    'Internal: what mark_read, mark_unread, mark_seen, archive, unarchive, snooze and unsnooze do, told by the verb of '
    'the change that they write. Returns how many changed.';
--- end ---

--- functions/mark_each.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_each(recipient text, verb text, ids bigint[]) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    box CONSTANT record := belfry.mailbox(mark_each.recipient);
BEGIN
    INSERT INTO belfry.receipt AS kept (recipient, notification_id, seen_at, read_at, archived_at)
    SELECT mark_each.recipient, named.id,
        belfry.stamp(named.id <= box.seen_through OR mark_each.verb IN ('seen', 'read'), NULL,
            named.id <= box.seen_through),
        belfry.stamp(named.id <= box.read_through OR mark_each.verb = 'read', NULL, named.id <= box.read_through),
        belfry.stamp(named.id <= box.archived_through OR mark_each.verb = 'archived', NULL,
            named.id <= box.archived_through)
    FROM unnest(mark_each.ids) AS named (id)
    ON CONFLICT ON CONSTRAINT receipt_pkey DO UPDATE SET
        seen_at = CASE WHEN mark_each.verb IN ('seen', 'read') AND coalesce(kept.seen_at, 'infinity') = 'infinity'
            THEN now() ELSE kept.seen_at END,
        read_at = CASE WHEN mark_each.verb = 'read' THEN now() ELSE kept.read_at END,
        archived_at = CASE WHEN mark_each.verb = 'archived' THEN now() ELSE kept.archived_at END;
    PERFORM belfry.tidy(mark_each.recipient, mark_each.ids);
END
$$;
COMMENT ON FUNCTION belfry.mark_each(text, text, bigint[]) IS
    'Internal: receipts for notifications that are not yet as the verb (seen, read or archived) says.';
--- end ---

--- functions/mark_through.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_through(recipient text, verb text, through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    -- What stays for another reason says it too, so that it leaves the indexes of what contradicts a watermark.
    UPDATE belfry.receipt AS c SET
        seen_at = CASE WHEN mark_through.verb IN ('seen', 'read') AND coalesce(c.seen_at, 'infinity') = 'infinity'
            THEN now() ELSE c.seen_at END,
        read_at = CASE WHEN mark_through.verb = 'read' AND coalesce(c.read_at, 'infinity') = 'infinity'
            THEN now() ELSE c.read_at END,
        archived_at = CASE WHEN mark_through.verb = 'archived' AND coalesce(c.archived_at, 'infinity') = 'infinity'
            THEN now() ELSE c.archived_at END
    WHERE c.recipient = mark_through.recipient AND c.notification_id <= mark_through.through
        AND CASE mark_through.verb
            WHEN 'seen' THEN coalesce(c.seen_at, 'infinity') WHEN 'read' THEN coalesce(c.read_at, 'infinity')
            ELSE coalesce(c.archived_at, 'infinity') END = 'infinity';
    IF mark_through.verb = 'read' THEN
        PERFORM belfry.raise_watermark(mark_through.recipient, 'seen', mark_through.through);
    END IF;
    PERFORM belfry.raise_watermark(mark_through.recipient, mark_through.verb, mark_through.through);
END
$$;
COMMENT ON FUNCTION belfry.mark_through(text, text, bigint) IS
    'Internal: lets the watermark say that everything at or below a position is as the verb (seen, read or archived) says.';
--- end ---

--- functions/mark_all.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_all(recipient text, verb text, through bigint, tenant text, topics text[])
    RETURNS bigint
    LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET jit = 'off'
AS $$
DECLARE
    narrowed CONSTANT boolean := mark_all.tenant IS NOT NULL OR mark_all.topics IS NOT NULL;
    box record;
    old bigint; -- the watermark before
    ceiling bigint; -- how far the watermark may tell it; above, receipts do
    turned bigint;
    above bigint[];
BEGIN
    PERFORM belfry.enter(mark_all.recipient);
    ceiling := CASE WHEN narrowed THEN 0 ELSE least(mark_all.through, belfry.settled_here()) END;
    box := belfry.mailbox(mark_all.recipient);
    old := CASE mark_all.verb
        WHEN 'seen' THEN box.seen_through WHEN 'read' THEN box.read_through ELSE box.archived_through END;
    WITH turning AS (
        SELECT item.id
        FROM belfry.audience(
            mark_all.recipient, box.since, old, coalesce(mark_all.through, 9223372036854775807), mark_all.topics) AS item
        WHERE belfry.alive(item.ended_at, item.expires_at)
            AND NOT belfry.muted(item.id, item.kind, box.kinds, box.ranges)
            AND (mark_all.tenant IS NULL OR item.tenant = mark_all.tenant)
            AND item.id NOT IN (
                SELECT c.notification_id FROM belfry.receipt AS c
                WHERE c.recipient = mark_all.recipient AND c.notification_id > old AND CASE mark_all.verb
                    WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END < 'infinity')
        UNION ALL
        SELECT n.id
        FROM belfry.receipt AS c JOIN belfry.notification AS n ON n.id = c.notification_id
        WHERE c.recipient = mark_all.recipient AND c.notification_id <= least(old, mark_all.through)
            AND CASE mark_all.verb
                WHEN 'seen' THEN c.seen_at WHEN 'read' THEN c.read_at ELSE c.archived_at END = 'infinity'
            AND belfry.alive(n.ended_at, n.expires_at)
            AND NOT belfry.muted(n.id, n.kind, box.kinds, box.ranges)
            AND (mark_all.tenant IS NULL OR n.tenant = mark_all.tenant)
            AND (n.recipient = mark_all.recipient OR EXISTS (
                SELECT FROM belfry.stays(mark_all.recipient, box.since, mark_all.topics) AS stay
                WHERE stay.topic = n.topic AND stay.since < n.id AND (stay.until IS NULL OR n.id < stay.until)))
    )
    SELECT count(*), coalesce(array_agg(turning.id ORDER BY turning.id) FILTER (WHERE turning.id > ceiling), '{}')
    INTO turned, above FROM turning;
    PERFORM belfry.mark_each(mark_all.recipient, mark_all.verb, above);
    IF ceiling > 0 THEN
        PERFORM belfry.mark_through(mark_all.recipient, mark_all.verb, ceiling);
    END IF;
    IF turned > 0 THEN
        PERFORM belfry.note(mark_all.recipient, mark_all.verb, above, CASE WHEN NOT narrowed THEN ceiling END);
        PERFORM belfry.compact(mark_all.recipient, mark_all.verb, cardinality(above));
    END IF;
    RETURN turned;
END
$$;
COMMENT ON FUNCTION belfry.mark_all(text, text, bigint, text, text[]) IS
    'Internal: what mark_all_read, mark_all_seen and archive_all do, told by the verb of the change that they write. The '
    'watermark tells it up to what is settled, receipts above; with a tenant or topics receipts alone.';
--- end ---

--- functions/badges.sql ---
CREATE OR REPLACE FUNCTION belfry.badges(
    scopes jsonb, head bigint DEFAULT NULL, los bigint[] DEFAULT '{}', his bigint[] DEFAULT '{}'
) RETURNS TABLE (place integer, unread bigint, unseen bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gaps CONSTANT int8multirange := (
        SELECT range_agg(int8range(gap.lo, gap.hi, '[]')) FROM unnest(badges.los, badges.his) AS gap (lo, hi));
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
    FROM belfry.tally(counts.recipient, counts.tenant, counts.topics, NULL, NULL) AS fresh,
        belfry.total(counts.recipient, counts.tenant, counts.topics) AS kept;
END
$$;
COMMENT ON FUNCTION belfry.counts(text, text, text[]) IS
    'How many notifications of the recipient are unread, unseen, and in the inbox at all (neither archived nor snoozed), '
    'exactly, in one snapshot. tenant and topics narrow: what was sent to the recipient directly is in every topic.';
--- end ---

--- functions/list_inbox.sql ---
CREATE OR REPLACE FUNCTION belfry.list_inbox(
    recipient text,
    state text DEFAULT 'all',
    before bigint DEFAULT NULL,
    max_rows integer DEFAULT 20,
    kinds text[] DEFAULT NULL,
    tags text[] DEFAULT NULL,
    tenant text DEFAULT NULL,
    topics text[] DEFAULT NULL
) RETURNS TABLE (
    id bigint, recipient text, topic text, tenant text, kind text, title text, body text, action_url text, actions jsonb,
    data jsonb, actor jsonb, tags text[], severity text, created_at timestamptz, expires_at timestamptz,
    revised_at timestamptz, group_key text, group_count integer, group_ids bigint[], seen boolean, read boolean,
    archived boolean, snoozed_until timestamptz
)
    -- Not PL/pgSQL, for which an argument and a column of one name are too much.
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = ''
AS $$
SELECT
    belfry.require_argument(
        list_inbox.state IN ('all', 'unread', 'read', 'unseen', 'seen', 'archived', 'snoozed'), 'state',
        format('It is %s.', coalesce(to_json(list_inbox.state)::text, 'NULL')),
        'A state is all, unread, read, unseen, seen, archived or snoozed.'),
    belfry.require_argument(
        list_inbox.max_rows BETWEEN 1 AND 1000, 'max_rows',
        format('It is %s.', coalesce(list_inbox.max_rows::text, 'NULL')),
        'Ask for 1 to 1000 at once, and for the next with before => the last id.'),
    belfry.greet(list_inbox.recipient);
SELECT n.id, n.recipient, n.topic, n.tenant, n.kind, n.title, n.body, n.action_url, n.actions, n.data, n.actor, n.tags,
    n.severity, n.created_at, n.expires_at, n.revised_at, n.group_key, listed.group_count, listed.group_ids, listed.seen,
    listed.read, listed.archived, listed.snoozed_until
FROM belfry.listing(
    list_inbox.recipient, list_inbox.state, list_inbox.before, list_inbox.max_rows, list_inbox.kinds, list_inbox.tags,
    list_inbox.tenant, list_inbox.topics) AS listed
CROSS JOIN LATERAL (SELECT * FROM belfry.notification WHERE notification.id = listed.id OFFSET 0) AS n
ORDER BY n.id DESC
$$;
COMMENT ON FUNCTION belfry.list_inbox(text, text, bigint, integer, text[], text[], text, text[]) IS
    'A page of the recipient''s inbox, the newest first: at most max_rows with an id below before. state is all (neither '
    'archived nor snoozed), unread, read, unseen, seen, archived or snoozed. kinds: any of these; tags: any of these; '
    'tenant and topics narrow, where what was sent to the recipient directly is in every topic. Of the notifications with '
    'one group_key that were sent to one recipient or topic the newest stands for all: group_count tells how many there '
    'are, itself included, and group_ids the newest 100 of them. Errors: BF001, BF010.';
--- end ---

--- functions/mark_read.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_read(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_read.recipient, 'read', mark_read.ids, NULL, mark_read.tenant, mark_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_read(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as read, and so as seen. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/mark_unread.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_unread(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_unread.recipient, 'unread', mark_unread.ids, NULL, mark_unread.tenant, mark_unread.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_unread(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as unread. Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/mark_seen.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_seen(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(mark_seen.recipient, 'seen', mark_seen.ids, NULL, mark_seen.tenant, mark_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_seen(text, bigint[], text, text[]) IS
    'Marks notifications of the recipient as seen, which leaves them unread. Returns how many changed; ids that are '
    'unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/archive.sql ---
CREATE OR REPLACE FUNCTION belfry.archive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(archive.recipient, 'archived', archive.ids, NULL, archive.tenant, archive.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive(text, bigint[], text, text[]) IS
    'Archives notifications of the recipient: they leave list and counts, and remain read or unread. Returns how many '
    'changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/unarchive.sql ---
CREATE OR REPLACE FUNCTION belfry.unarchive(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(unarchive.recipient, 'unarchived', unarchive.ids, NULL, unarchive.tenant, unarchive.topics);
END
$$;
COMMENT ON FUNCTION belfry.unarchive(text, bigint[], text, text[]) IS
    'Takes notifications of the recipient back out of the archive. Returns how many changed; ids that are unknown, '
    'not the recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/snooze.sql ---
CREATE OR REPLACE FUNCTION belfry.snooze(
    recipient text, ids bigint[], until timestamptz, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    PERFORM belfry.require_argument(
        snooze.until > now() AND isfinite(snooze.until), 'until',
        format('It is %s.', coalesce(to_json(snooze.until)::text, 'NULL')),
        'Give a time in the future, such as now() + interval ''1 hour''.');
    RETURN belfry.mark(snooze.recipient, 'snoozed', snooze.ids, snooze.until, snooze.tenant, snooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.snooze(text, bigint[], timestamptz, text, text[]) IS
    'Takes notifications of the recipient out of list and counts until a time in the future, when they return unread '
    'and unseen (belfry.deliver_due brings them back live). Returns how many changed; ids that are unknown, not the '
    'recipient''s or repeated are passed over. tenant and topics narrow.';
--- end ---

--- functions/unsnooze.sql ---
CREATE OR REPLACE FUNCTION belfry.unsnooze(
    recipient text, ids bigint[], tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark(unsnooze.recipient, 'unsnoozed', unsnooze.ids, NULL, unsnooze.tenant, unsnooze.topics);
END
$$;
COMMENT ON FUNCTION belfry.unsnooze(text, bigint[], text, text[]) IS
    'Ends the snooze of notifications of the recipient now, as if it were due: they return unread and unseen. Returns '
    'how many changed; ids that are unknown, not the recipient''s or repeated are passed over. tenant and topics '
    'narrow.';
--- end ---

--- functions/mark_all_read.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_all_read(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_read.recipient, 'read', mark_all_read.through, mark_all_read.tenant, mark_all_read.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_read(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as read, and so as seen, at or below the id through, or all of '
    'it. What commits later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
--- end ---

--- functions/mark_all_seen.sql ---
CREATE OR REPLACE FUNCTION belfry.mark_all_seen(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(mark_all_seen.recipient, 'seen', mark_all_seen.through, mark_all_seen.tenant, mark_all_seen.topics);
END
$$;
COMMENT ON FUNCTION belfry.mark_all_seen(text, bigint, text, text[]) IS
    'Marks everything in the inbox of the recipient as seen, at or below the id through, or all of it. What commits '
    'later is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
--- end ---

--- functions/archive_all.sql ---
CREATE OR REPLACE FUNCTION belfry.archive_all(
    recipient text, through bigint DEFAULT NULL, tenant text DEFAULT NULL, topics text[] DEFAULT NULL
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    RETURN belfry.mark_all(archive_all.recipient, 'archived', archive_all.through, archive_all.tenant, archive_all.topics);
END
$$;
COMMENT ON FUNCTION belfry.archive_all(text, bigint, text, text[]) IS
    'Archives everything in the inbox of the recipient, at or below the id through, or all of it. What commits later '
    'is not, even with a lower id. Returns how many changed. tenant and topics narrow.';
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

INSERT INTO belfry.migration (version, name) VALUES (2, 'inbox');
SET LOCAL ROLE NONE;
