CREATE OR REPLACE FUNCTION belfry.enroll(recipients text[], topics text[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WITH taken AS (
        INSERT INTO belfry.change (recipient, topic, verb)
        SELECT pair.recipient, pair.topic, 'subscribed'
        FROM unnest(enroll.recipients, enroll.topics) AS pair (recipient, topic)
        RETURNING change.id, change.recipient, change.topic
    )
    INSERT INTO belfry.subscription (recipient, topic, since) SELECT taken.recipient, taken.topic, taken.id FROM taken;
END
$$;
COMMENT ON FUNCTION belfry.enroll(text[], text[]) IS
    'Internal: subscribes each recipient to the topic at the same place, in one statement; for segments.';
