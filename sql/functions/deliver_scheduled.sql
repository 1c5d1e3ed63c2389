CREATE OR REPLACE FUNCTION belfry.deliver_scheduled(max_rows integer) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    due CONSTANT bigint[] := ARRAY(
        SELECT s.number FROM belfry.scheduled AS s WHERE s.deliver_at <= now()
        ORDER BY s.deliver_at, s.number LIMIT deliver_scheduled.max_rows FOR UPDATE SKIP LOCKED);
    number bigint;
    delivered integer := 0;
BEGIN
    IF belfry.try_deliver(due) THEN
        RETURN cardinality(due);
    END IF;
    -- One at least would wait for a sender of the same dedupe_key. It comes at a later call, the others now.
    FOREACH number IN ARRAY due LOOP
        delivered := delivered + belfry.try_deliver(ARRAY[number])::integer;
    END LOOP;
    RETURN delivered;
END
$$;
COMMENT ON FUNCTION belfry.deliver_scheduled(integer) IS
    'Internal: the scheduled notifications of belfry.deliver_due.';
