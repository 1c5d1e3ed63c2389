CREATE OR REPLACE FUNCTION belfry.fault(query text) RETURNS text
    LANGUAGE plpgsql
AS $$
DECLARE
    tried refcursor;
BEGIN
    -- A cursor takes one query and reads nothing here.
    OPEN tried FOR EXECUTE fault.query;
    CLOSE tried;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION belfry.fault(text) IS
    'Internal: what is wrong with a query that reads, or NULL. It is planned with the rights of the caller, not run.';
