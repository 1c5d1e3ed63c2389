CREATE OR REPLACE FUNCTION belfry.settled_here() RETURNS bigint
    LANGUAGE plpgsql
AS $$
BEGIN
    -- A snapshot of the whole transaction does not see what has committed since, so what is settled now is too much.
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        RETURN belfry.settle();
    END IF;
    RETURN (SELECT settled.through FROM belfry.settled);
END
$$;
COMMENT ON FUNCTION belfry.settled_here() IS
    'Internal: up to which position the next statement of this transaction sees everything that will ever be there.';
