CREATE OR REPLACE FUNCTION belfry.subscribe(recipient text, topic text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    taken bigint;
BEGIN
    PERFORM belfry.require_recipient(subscribe.recipient);
    PERFORM belfry.require_topic(subscribe.topic);
    IF subscribe.topic = '*' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'nobody subscribes to *',
            DETAIL = 'The topic * reaches everyone.',
            HINT = 'Subscribe to a topic of your own, such as team:7.';
    END IF;
    IF subscribe.topic LIKE 'segment:%' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF002', COLUMN = 'topic',
            MESSAGE = 'the subscriptions of a segment follow from traits',
            DETAIL = format('The topic is %s.', to_json(subscribe.topic)),
            HINT = 'Call belfry.set_traits or belfry.define_segment, or choose a topic without the prefix segment:.';
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
