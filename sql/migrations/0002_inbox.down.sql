-- Brings back what was before 0002_inbox. What 0001 cannot hold is removed: all receipts, watermarks, preferences and
-- kinds, every change but subscribed and unsubscribed, and the notifications that were retracted or have expired,
-- which would return to life otherwise.
-- Locks: belfry.notification, change and inbox exclusively to the end, while the two audience indexes are built anew.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '600s';
SET LOCAL ROLE belfry_owner;

DROP FUNCTION belfry.archive_all(text, bigint, text, text[]);
DROP FUNCTION belfry.mark_all_seen(text, bigint, text, text[]);
DROP FUNCTION belfry.mark_all_read(text, bigint, text, text[]);
DROP FUNCTION belfry.unsnooze(text, bigint[], text, text[]);
DROP FUNCTION belfry.snooze(text, bigint[], timestamptz, text, text[]);
DROP FUNCTION belfry.unarchive(text, bigint[], text, text[]);
DROP FUNCTION belfry.archive(text, bigint[], text, text[]);
DROP FUNCTION belfry.mark_seen(text, bigint[], text, text[]);
DROP FUNCTION belfry.mark_unread(text, bigint[], text, text[]);
DROP FUNCTION belfry.mark_read(text, bigint[], text, text[]);
DROP FUNCTION belfry.list_inbox(text, text, bigint, integer, text[], text[], text, text[]);
DROP FUNCTION belfry.counts(text, text, text[]);
DROP FUNCTION belfry.badges(jsonb, bigint, bigint[], bigint[]);
DROP FUNCTION belfry.mark_all(text, text, bigint, text, text[]);
DROP FUNCTION belfry.mark_through(text, text, bigint);
DROP FUNCTION belfry.mark_each(text, text, bigint[]);
DROP FUNCTION belfry.mark(text, text, bigint[], timestamptz, text, text[]);
DROP FUNCTION belfry.compact(text, text, bigint);
DROP FUNCTION belfry.raise_watermark(text, text, bigint);
DROP FUNCTION belfry.tidy(text, bigint[]);
DROP FUNCTION belfry.settled_here();
DROP FUNCTION belfry.note(text, text, bigint[], bigint);
DROP FUNCTION belfry.enter(text);
DROP FUNCTION belfry.greet(text);
DROP FUNCTION belfry.listing(text, text, bigint, integer, text[], text[], text, text[]);
DROP FUNCTION belfry.total(text, text, text[]);
DROP FUNCTION belfry.tally(text, text, text[], bigint, int8multirange);
DROP FUNCTION belfry.marked(text, text, bigint, bigint, bigint, bigint, integer);
DROP FUNCTION belfry.grouped(text, bigint, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text, text, text, text);
DROP FUNCTION belfry.shelf(text, bigint, bigint, bigint, text[], int8multirange[], text, text[], text[], text);
DROP FUNCTION belfry.mailbox(text);
DROP FUNCTION belfry.mutes(text);
DROP FUNCTION belfry.audience(text, bigint, bigint, bigint, text[]);
DROP FUNCTION belfry.stays(text, bigint, text[]);
DROP FUNCTION belfry.first_contact(text);
DROP FUNCTION belfry.require_argument(boolean, text, text, text);
DROP FUNCTION belfry.fits(text, boolean, boolean, boolean, timestamptz);
DROP FUNCTION belfry.stamp(boolean, timestamptz, boolean);
DROP FUNCTION belfry.implied(timestamptz, boolean);
DROP FUNCTION belfry.muted(bigint, text, text[], int8multirange[]);
DROP FUNCTION belfry.alive(timestamptz, timestamptz);
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


DROP TABLE belfry.kind, belfry.preference, belfry.receipt;
ALTER TABLE belfry.inbox
    DROP COLUMN read_through,
    DROP COLUMN seen_through,
    DROP COLUMN archived_through;
COMMENT ON TABLE belfry.inbox IS 'First contact with each recipient. Relays write it, senders never do.';

DELETE FROM belfry.change WHERE verb NOT IN ('subscribed', 'unsubscribed');
DROP INDEX belfry.change_topic_idx, belfry.change_membership_idx;
ALTER TABLE belfry.change
    DROP CONSTRAINT change_audience,
    DROP CONSTRAINT change_verb,
    DROP COLUMN tenant,
    DROP COLUMN ids,
    DROP COLUMN through,
    DROP COLUMN kind,
    DROP COLUMN enabled,
    ALTER COLUMN recipient SET NOT NULL,
    ADD CONSTRAINT change_verb CHECK (verb IN ('subscribed', 'unsubscribed'));
CREATE INDEX change_membership_idx ON belfry.change (id) WHERE verb IN ('subscribed', 'unsubscribed');
COMMENT ON TABLE belfry.change IS
    'What became of notifications and memberships, one row each, in one order with them. Only functions write it.';
COMMENT ON COLUMN belfry.change.recipient IS 'Whose streams are told.';
COMMENT ON COLUMN belfry.change.topic IS 'The topic of a subscribed or unsubscribed.';
COMMENT ON COLUMN belfry.change.verb IS 'What happened: subscribed, unsubscribed.';

DELETE FROM belfry.notification WHERE ended_at IS NOT NULL;
DROP INDEX belfry.notification_recipient_idx, belfry.notification_topic_idx, belfry.notification_expiry_idx,
    belfry.notification_recipient_group_idx, belfry.notification_topic_group_idx;
ALTER TABLE belfry.notification
    DROP COLUMN ended_at,
    DROP COLUMN revised_at,
    DROP COLUMN silent;
CREATE INDEX notification_recipient_idx ON belfry.notification (recipient, id) WHERE recipient IS NOT NULL;
CREATE INDEX notification_topic_idx ON belfry.notification (topic, id) WHERE topic IS NOT NULL;

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

DELETE FROM belfry.migration WHERE version = 2;
SET LOCAL ROLE NONE;
