CREATE OR REPLACE FUNCTION belfry.forget_idempotency(age interval DEFAULT '1 day') RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM belfry.idempotency WHERE idempotency.created_at < now() - forget_idempotency.age;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION belfry.forget_idempotency(interval) IS
    'For relays: forgets the answers to requests that are older than that; returns how many.';
