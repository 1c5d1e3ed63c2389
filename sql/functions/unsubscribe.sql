CREATE OR REPLACE FUNCTION belfry.unsubscribe(recipient text, topic text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM belfry.require_recipient(unsubscribe.recipient);
    PERFORM belfry.require_topic(unsubscribe.topic);
    IF unsubscribe.topic LIKE 'segment:%' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'the subscriptions of a segment follow from traits',
            DETAIL = format('The topic is %s.', to_json(unsubscribe.topic)),
            HINT = 'Call belfry.set_traits or belfry.define_segment, or choose a topic without the prefix segment:.';
    END IF;
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
