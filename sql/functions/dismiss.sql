CREATE OR REPLACE FUNCTION belfry.dismiss(recipients text[], topics text[]) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    WITH taken AS (
        INSERT INTO belfry.change (recipient, topic, verb)
        SELECT pair.recipient, pair.topic, 'unsubscribed'
        FROM unnest(dismiss.recipients, dismiss.topics) AS pair (recipient, topic)
        RETURNING change.id, change.recipient, change.topic
    )
    UPDATE belfry.subscription AS s SET until = taken.id FROM taken
    WHERE s.recipient = taken.recipient AND s.topic = taken.topic AND s.until IS NULL;
END
$$;
COMMENT ON FUNCTION belfry.dismiss(text[], text[]) IS
    'Internal: ends the subscription of each recipient to the topic at the same place, in one statement; for segments.';
