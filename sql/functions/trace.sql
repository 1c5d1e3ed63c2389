CREATE OR REPLACE FUNCTION belfry.trace(
    id bigint, recipient text,
    OUT audience text, OUT sent_at timestamptz, OUT ended_at timestamptz, OUT expires_at timestamptz,
    OUT first_contact bigint, OUT stay_since bigint, OUT stay_until bigint, OUT muted boolean, OUT seen boolean,
    OUT read boolean, OUT archived boolean, OUT snoozed_until timestamptz, OUT settled boolean, OUT verdict text
)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n belfry.notification;
    box record;
BEGIN
    PERFORM belfry.require_argument(
        trace.id IS NOT NULL, 'id', 'It is NULL.', 'Give the id of a notification, as belfry.send returned it.');
    PERFORM belfry.require_recipient(trace.recipient);
    SELECT * INTO n FROM belfry.notification WHERE notification.id = trace.id;
    settled := trace.id <= (SELECT through FROM belfry.settled);
    IF n.id IS NULL THEN
        verdict := CASE
            WHEN EXISTS (
                SELECT FROM belfry.scheduled WHERE scheduled.number = -greatest(trace.id, -9223372036854775807))
                THEN 'It is scheduled and has not been delivered yet.'
            WHEN trace.id BETWEEN (SELECT -last_value FROM belfry.scheduled_number_seq WHERE is_called) AND -1
                THEN 'It was scheduled, and has been delivered with an id of that moment, or cancelled.'
            WHEN trace.id > belfry.last_position() OR trace.id <= 0 THEN 'No notification ever had this id.'
            WHEN trace.id <= (SELECT pruned FROM belfry.settled) THEN 'It may have been there: retention has removed it.'
            WHEN EXISTS (SELECT FROM belfry.change WHERE change.id = trace.id)
                THEN 'There is none: this is the position of a change.'
            WHEN settled THEN 'There is none: the transaction that took this id was rolled back, or its recipient was erased.'
            ELSE 'There is none yet: the transaction that took this id is open, or was rolled back.'
        END;
        RETURN;
    END IF;
    box := belfry.mailbox(trace.recipient);
    audience := CASE WHEN n.recipient IS NULL THEN 'topic ' || n.topic ELSE 'recipient ' || n.recipient END;
    sent_at := n.created_at;
    ended_at := n.ended_at;
    expires_at := n.expires_at;
    first_contact := CASE
        WHEN EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = trace.recipient)
            OR EXISTS (SELECT FROM belfry.notification WHERE notification.recipient = trace.recipient)
            OR EXISTS (SELECT FROM belfry.subscription WHERE subscription.recipient = trace.recipient)
            THEN box.since
    END;
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
    'Why a recipient did or did not get a notification: its audience, their stay at that position, first contact (NULL: '
    'never), preference, state, and a sentence. settled: nothing at or below its id can still commit.';
