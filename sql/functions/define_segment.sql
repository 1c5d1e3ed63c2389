CREATE OR REPLACE FUNCTION belfry.define_segment(name text, filter jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    its_topic CONSTANT text := 'segment:' || define_segment.name;
    gained text[];
    lost text[];
BEGIN
    PERFORM belfry.require_read_committed();
    PERFORM belfry.require_argument(
        char_length(define_segment.name) BETWEEN 1 AND 200 AND define_segment.name !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]',
        'name', 'It is no name of a segment.', 'Give 1 to 200 characters without "/" and control characters.');
    PERFORM belfry.require_argument(
        jsonb_typeof(define_segment.filter) = 'object', 'filter', 'It is no JSON object.',
        'Give what the traits must contain, such as {"plan": "pro"}; {} is everyone who has traits.');
    PERFORM pg_advisory_xact_lock(1111837766, 4);
    INSERT INTO belfry.segment AS known (name, filter) VALUES (define_segment.name, define_segment.filter)
    ON CONFLICT ON CONSTRAINT segment_pkey DO UPDATE SET filter = excluded.filter;
    -- Each is looked up by its key: a join of the two is quadratic until the tables have been analyzed.
    gained := ARRAY(
        SELECT t.recipient FROM belfry.traits AS t WHERE t.traits @> define_segment.filter AND (
            SELECT true FROM belfry.subscription AS s
            WHERE s.recipient = t.recipient AND s.topic = its_topic AND s.until IS NULL) IS NULL);
    lost := ARRAY(
        SELECT s.recipient FROM belfry.subscription AS s WHERE s.topic = its_topic AND s.until IS NULL
            AND (SELECT t.traits @> define_segment.filter FROM belfry.traits AS t
                WHERE t.recipient = s.recipient) IS NOT TRUE);
    PERFORM belfry.enroll(gained, array_fill(its_topic, ARRAY[cardinality(gained)])) WHERE gained <> '{}';
    PERFORM belfry.dismiss(lost, array_fill(its_topic, ARRAY[cardinality(lost)])) WHERE lost <> '{}';
END
$$;
COMMENT ON FUNCTION belfry.define_segment(text, jsonb) IS
    'Makes or changes a segment: everyone whose traits contain the filter is subscribed to the topic segment:<name>, now '
    'and whenever traits change. belfry.publish(''segment:<name>'', …) is one row, as for any topic. Under READ COMMITTED alone: BF012.';

CREATE OR REPLACE FUNCTION belfry.define_segment(name text, filter text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pairs CONSTANT text[] := string_to_array(define_segment.filter, ',');
    contained jsonb;
BEGIN
    IF define_segment.filter ~ E'^\\s*\\{' THEN
        BEGIN
            contained := define_segment.filter::jsonb;
        EXCEPTION WHEN data_exception THEN
            contained := NULL; -- which is refused by name
        END;
        PERFORM belfry.define_segment(define_segment.name, contained);
        RETURN;
    END IF;
    PERFORM belfry.require_argument(
        define_segment.filter <> '' AND NOT EXISTS (SELECT FROM unnest(pairs) AS pair WHERE pair !~ E'^\\s*[^:\\s]+\\s*:\\s*\\S')
            AND cardinality(pairs) = (SELECT count(DISTINCT btrim(split_part(pair, ':', 1))) FROM unnest(pairs) AS pair),
        'filter', 'It is neither a JSON object nor trait:value pairs, each trait once.',
        'Give for example plan:pro,role:admin.');
    PERFORM belfry.define_segment(define_segment.name, (
        SELECT jsonb_object_agg(btrim(split_part(pair, ':', 1)), btrim(substr(pair, strpos(pair, ':') + 1)))
        FROM unnest(pairs) AS pair));
END
$$;
COMMENT ON FUNCTION belfry.define_segment(text, text) IS
    'The same with the filter as text: plan:pro,role:admin, whose values are texts, or a JSON object.';
