CREATE OR REPLACE FUNCTION belfry.forget_idempotency(age interval DEFAULT '1 day') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone bigint;
BEGIN
    PERFORM belfry.require_argument(
        forget_idempotency.age >= interval '0', 'age', format('It is %s.', coalesce(forget_idempotency.age::text, 'NULL')),
        'Give how old an answer must be, such as interval ''1 day''.');
    DELETE FROM belfry.idempotency WHERE idempotency.created_at < now() - forget_idempotency.age;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION belfry.forget_idempotency(interval) IS
    'For relays: forgets the answers to requests that are older than that; returns how many.';
