CREATE OR REPLACE FUNCTION belfry.require_content(
    kind text, title text, body text, data jsonb, action_url text, actions jsonb, actor jsonb, tags text[],
    severity text, tenant text, dedupe_key text, group_key text, deliver_at timestamptz
) RETURNS void
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    size CONSTANT integer := octet_length(require_content.title) + octet_length(require_content.body)
        + octet_length(require_content.data::text) + octet_length(require_content.actions::text)
        + octet_length(require_content.tags::text) + coalesce(octet_length(require_content.actor::text), 0)
        + coalesce(octet_length(require_content.action_url), 0);
    fault text;
BEGIN
    IF (char_length(require_content.kind) <= 255
        AND require_content.kind ~ '^[a-z0-9_-]+(\.[a-z0-9_-]+)*$') IS NOT TRUE THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF003',
            MESSAGE = 'this is not a kind',
            DETAIL = CASE
                WHEN require_content.kind IS NULL THEN 'It is NULL.'
                WHEN char_length(require_content.kind) NOT BETWEEN 1 AND 255
                    THEN format('It has %s characters.', char_length(require_content.kind))
                ELSE format('It is %s.', to_json(require_content.kind))
            END,
            HINT = 'A kind is a dotted lower-case name of at most 255 characters, such as comment.created.';
    END IF;
    IF size > 65536 THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF004',
            MESSAGE = 'the notification is too large',
            DETAIL = format('title, body, data, action_url, actions, actor and tags have %s bytes together; '
                'at most 65536 are allowed.', size),
            HINT = 'Send a reference to what is large, for example its address in action_url.';
    END IF;
    IF require_content.deliver_at > now() THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF006',
            MESSAGE = 'a notification cannot be sent for later yet',
            DETAIL = format('deliver_at is %s.', require_content.deliver_at),
            HINT = 'Leave deliver_at out and call this function when it is due; delivery at a time comes with the inbox.';
    END IF;
    fault := CASE
        WHEN require_content.severity NOT IN ('info', 'success', 'warning', 'error')
            THEN 'severity must be info, success, warning or error.'
        WHEN jsonb_typeof(require_content.data) <> 'object' THEN 'data must be a JSON object.'
        WHEN jsonb_typeof(require_content.actions) <> 'array' THEN 'actions must be a JSON array.'
        WHEN jsonb_typeof(require_content.actor) <> 'object' THEN 'actor must be a JSON object, or NULL.'
        WHEN array_ndims(require_content.tags) > 1 OR array_position(require_content.tags, NULL) IS NOT NULL
            THEN 'tags must be a flat array without NULL.'
        WHEN char_length(require_content.tenant) > 255
            OR require_content.tenant ~ '[\u0001-\u001F\u007F-\u009F/]'
            THEN 'tenant must have at most 255 characters, none of them "/" or a control character.'
        WHEN char_length(require_content.dedupe_key) NOT BETWEEN 1 AND 255
            THEN 'dedupe_key must have 1 to 255 characters, or be NULL.'
        WHEN char_length(require_content.group_key) NOT BETWEEN 1 AND 255
            THEN 'group_key must have 1 to 255 characters, or be NULL.'
    END;
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF007',
            MESSAGE = format('%s is not valid', split_part(fault, ' ', 1)),
            DETAIL = fault,
            HINT = '\df+ belfry.send describes every argument; one that is left out has a default.';
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.require_content(
    text, text, text, jsonb, text, jsonb, jsonb, text[], text, text, text, text, timestamptz
) IS
    'Internal: raises BF003, BF004, BF006 or BF007 unless these can be the contents of a notification.';
