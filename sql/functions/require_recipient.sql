CREATE OR REPLACE FUNCTION belfry.require_recipient(recipient text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF char_length(require_recipient.recipient) BETWEEN 1 AND 255
        AND require_recipient.recipient !~ E'[\\u0001-\\u001F\\u007F-\\u009F/]' THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF001', COLUMN = 'recipient',
        MESSAGE = 'this is not a recipient',
        DETAIL = CASE
            WHEN require_recipient.recipient IS NULL THEN 'It is NULL.'
            WHEN char_length(require_recipient.recipient) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_recipient.recipient))
            ELSE format('It contains "/" or a control character: %s.', to_json(require_recipient.recipient))
        END,
        HINT = 'A recipient is 1 to 255 characters without "/" and control characters: your user''s id as text.';
END
$$;
COMMENT ON FUNCTION belfry.require_recipient(text) IS
    'Internal: true, or raises BF001 unless the text can be the name of a recipient.';
