CREATE OR REPLACE FUNCTION belfry.set_traits(recipient text, traits jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted text[];
    present text[];
    gained text[];
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM belfry.require_recipient(set_traits.recipient);
    PERFORM belfry.require_argument(
        jsonb_typeof(set_traits.traits) = 'object', 'traits', 'It is no JSON object.',
        'Give an object such as {"plan": "pro"}; {} for none.');
    -- Shared among those who set traits, exclusive for who defines a segment; then one after another for the same person.
    PERFORM pg_advisory_xact_lock_shared(1111837766, 4);
    INSERT INTO belfry.traits AS known (recipient, traits) VALUES (set_traits.recipient, set_traits.traits)
    ON CONFLICT ON CONSTRAINT traits_pkey DO UPDATE SET traits = excluded.traits;
    wanted := ARRAY(
        SELECT 'segment:' || segment.name FROM belfry.segment WHERE set_traits.traits @> segment.filter ORDER BY 1);
    present := ARRAY(
        SELECT s.topic FROM belfry.subscription AS s
        WHERE s.recipient = set_traits.recipient AND s.topic LIKE 'segment:%' AND s.until IS NULL);
    gained := ARRAY(SELECT topic FROM unnest(wanted) AS topic WHERE topic <> ALL (present));
    lost := ARRAY(SELECT topic FROM unnest(present) AS topic WHERE topic <> ALL (wanted));
    IF gained <> '{}' THEN
        PERFORM belfry.enroll(array_fill(set_traits.recipient, ARRAY[cardinality(gained)]), gained);
    END IF;
    IF lost <> '{}' THEN
        PERFORM belfry.dismiss(array_fill(set_traits.recipient, ARRAY[cardinality(lost)]), lost);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.set_traits(text, jsonb) IS
    'Says what a recipient is, as a JSON object that replaces what was said before; their segments follow at once, live '
    'streams too. Under READ COMMITTED alone: BF012.';
