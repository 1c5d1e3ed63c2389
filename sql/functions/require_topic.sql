CREATE OR REPLACE FUNCTION belfry.require_topic(topic text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF char_length(require_topic.topic) BETWEEN 1 AND 255
        AND require_topic.topic !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]' THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF002', COLUMN = 'topic',
        MESSAGE = 'this is not a topic',
        DETAIL = CASE
            WHEN require_topic.topic IS NULL THEN 'It is NULL.'
            WHEN char_length(require_topic.topic) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_topic.topic))
            ELSE format('It contains "/" or a control character: %s.', to_json(require_topic.topic))
        END,
        HINT = 'A topic is 1 to 255 characters without "/" and control characters, such as team:7; * is everyone.';
END
$$;
COMMENT ON FUNCTION belfry.require_topic(text) IS
    'Internal: true, or raises BF002 unless the text can be the name of a topic.';
