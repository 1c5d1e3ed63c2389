CREATE OR REPLACE FUNCTION belfry.note_failure(watch bigint, state text, message text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Once a minute, as a row of its own: a counter would make the writers of a failing watch wait for each other.
    IF EXISTS (
        SELECT FROM belfry.watch_failure AS f
        WHERE f.watch = note_failure.watch AND f.failed_at > clock_timestamp() - interval '1 minute'
    ) THEN
        RETURN;
    END IF;
    DELETE FROM belfry.watch_failure AS f USING (
        SELECT o.watch, o.failed_at FROM belfry.watch_failure AS o
        WHERE o.watch = note_failure.watch AND o.failed_at < clock_timestamp() - interval '7 days'
        ORDER BY o.failed_at LIMIT 100 FOR UPDATE SKIP LOCKED) AS old
    WHERE f.watch = old.watch AND f.failed_at = old.failed_at;
    -- Messages quote values: only those about names are kept as they are.
    INSERT INTO belfry.watch_failure (watch, state, message)
    SELECT w.number, note_failure.state, CASE
        WHEN note_failure.state LIKE '42%' THEN left(note_failure.message, 1000)
        WHEN note_failure.state !~ '^([023][0-9A-F]|4[04]|5[3-8]|XX|BF)' -- a class of neither Postgres nor ours
            THEN 'raised by a function that the watch calls'
        ELSE left(regexp_replace(note_failure.message, '".*"', '"…"'), 1000) END
    FROM belfry.watch AS w WHERE w.number = note_failure.watch
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION belfry.note_failure(bigint, text, text) IS
    'Internal: records that a watch failed, at most once a minute, without the values that the message quotes, for a week.';
