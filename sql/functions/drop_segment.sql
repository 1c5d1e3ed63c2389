CREATE OR REPLACE FUNCTION belfry.drop_segment(name text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    its_topic CONSTANT text := 'segment:' || drop_segment.name;
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM pg_advisory_xact_lock(1111837766, 4);
    DELETE FROM belfry.segment WHERE segment.name = drop_segment.name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    lost := ARRAY(
        SELECT s.recipient FROM belfry.subscription AS s WHERE s.topic = its_topic AND s.until IS NULL);
    PERFORM belfry.dismiss(lost, array_fill(its_topic, ARRAY[cardinality(lost)])) WHERE lost <> '{}';
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.drop_segment(text) IS
    'Removes a segment and ends its subscriptions; what was sent to it stays in the inboxes. Returns whether there was one.';
