CREATE OR REPLACE FUNCTION belfry.require_notification(
    recipient text, topic text, tenant text, kind text, title text, body text, data jsonb, action_url text,
    actions jsonb, actor jsonb, tags text[], severity text, dedupe_key text, group_key text
) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    size integer;
    fault pg_catalog.text;
BEGIN
    -- One expression for what is in order, because every sender pays for it.
    IF (require_notification.recipient IS NULL) <> (require_notification.topic IS NULL)
        AND char_length(coalesce(require_notification.recipient, require_notification.topic)) BETWEEN 1 AND 255
        AND coalesce(require_notification.recipient, require_notification.topic)
            !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]'
        AND (require_notification.tenant = ''
            OR (char_length(require_notification.tenant) <= 255
                AND require_notification.tenant !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]'))
        AND char_length(require_notification.kind) <= 255
        AND require_notification.kind ~ E'^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$'
        AND jsonb_typeof(require_notification.data) = 'object'
        AND jsonb_typeof(require_notification.actions) = 'array'
        AND (require_notification.actor IS NULL OR jsonb_typeof(require_notification.actor) = 'object')
        AND (require_notification.tags = '{}'
            OR (array_ndims(require_notification.tags) = 1
                AND array_position(require_notification.tags, NULL) IS NULL))
        AND require_notification.severity IN ('info', 'success', 'warning', 'error')
        AND (require_notification.dedupe_key IS NULL
            OR char_length(require_notification.dedupe_key) BETWEEN 1 AND 255)
        AND (require_notification.group_key IS NULL
            OR char_length(require_notification.group_key) BETWEEN 1 AND 255)
        AND octet_length(concat(
            require_notification.title, require_notification.body, require_notification.data,
            require_notification.action_url, require_notification.actions, require_notification.actor,
            require_notification.tags)) <= 65536
    THEN
        RETURN true;
    END IF;

    IF (require_notification.recipient IS NULL) = (require_notification.topic IS NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF005', TABLE = 'notification', CONSTRAINT = 'notification_audience',
            MESSAGE = 'a notification needs exactly one audience',
            DETAIL = CASE WHEN require_notification.topic IS NULL THEN 'Neither recipient nor topic was given.'
                ELSE 'recipient and topic were both given.' END,
            HINT = 'Name either a recipient or a topic.';
    ELSIF require_notification.topic IS NULL THEN
        PERFORM belfry.require_recipient(require_notification.recipient);
    ELSE
        PERFORM belfry.require_topic(require_notification.topic);
    END IF;

    IF (char_length(require_notification.kind) <= 255
        AND require_notification.kind ~ E'^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF003', TABLE = 'notification', COLUMN = 'kind', CONSTRAINT = 'notification_kind',
            MESSAGE = 'this is not a kind',
            DETAIL = CASE
                WHEN require_notification.kind IS NULL THEN 'It is NULL.'
                WHEN char_length(require_notification.kind) NOT BETWEEN 1 AND 255
                    THEN format('It has %s characters.', char_length(require_notification.kind))
                ELSE format('It is %s.', to_json(require_notification.kind))
            END,
            HINT = 'A kind is a dotted lower-case name of at most 255 characters, such as comment.created.';
    END IF;

    fault := CASE
        WHEN require_notification.severity NOT IN ('info', 'success', 'warning', 'error')
            THEN 'severity must be info, success, warning or error.'
        WHEN jsonb_typeof(require_notification.data) <> 'object' THEN 'data must be a JSON object.'
        WHEN jsonb_typeof(require_notification.actions) <> 'array' THEN 'actions must be a JSON array.'
        WHEN jsonb_typeof(require_notification.actor) <> 'object' THEN 'actor must be a JSON object, or NULL.'
        WHEN array_ndims(require_notification.tags) > 1
            OR array_position(require_notification.tags, NULL) IS NOT NULL
            THEN 'tags must be a flat array without NULL.'
        WHEN char_length(require_notification.tenant) > 255
            OR require_notification.tenant ~ E'[\\u0001-\\u001F\\u007F-\\u009F/]'
            THEN 'tenant must have at most 255 characters, none of them "/" or a control character.'
        WHEN char_length(require_notification.dedupe_key) NOT BETWEEN 1 AND 255
            THEN 'dedupe_key must have 1 to 255 characters, or be NULL.'
        WHEN char_length(require_notification.group_key) NOT BETWEEN 1 AND 255
            THEN 'group_key must have 1 to 255 characters, or be NULL.'
    END;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF007', TABLE = 'notification', COLUMN = split_part(fault, ' ', 1),
            CONSTRAINT = 'notification_' || split_part(fault, ' ', 1),
            MESSAGE = format('%s is not valid', split_part(fault, ' ', 1)),
            DETAIL = fault,
            HINT = E'\\d+ belfry.notification describes every column; one that is left out has a default.';
    END IF;

    size := octet_length(concat(
        require_notification.title, require_notification.body, require_notification.data,
        require_notification.action_url, require_notification.actions, require_notification.actor,
        require_notification.tags));
    RAISE EXCEPTION USING
        ERRCODE = 'BF004', TABLE = 'notification', CONSTRAINT = 'notification_payload',
        MESSAGE = 'the notification is too large',
        DETAIL = format('title, body, data, action_url, actions, actor and tags have %s bytes together; '
            'at most 65536 are allowed.', size),
        HINT = 'Send a reference to what is large, for example its address in action_url.';
END
$$;
COMMENT ON FUNCTION belfry.require_notification(
    text, text, text, text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text
) IS
    'Internal: the limits of a notification, for the CHECK of the table. True, or raises BF001 to BF005 or BF007 with '
    'the name of the limit. One function, because Postgres reads each CHECK anew for each INSERT: thirteen of them '
    'halved the rate of commits.';
