CREATE OR REPLACE FUNCTION belfry.require_kind(kind text, star boolean) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF (require_kind.star AND require_kind.kind = '*')
        OR (char_length(require_kind.kind) <= 255 AND require_kind.kind ~ E'^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$') THEN
        RETURN true;
    END IF;
    RAISE EXCEPTION USING
        ERRCODE = 'BF003', COLUMN = 'kind',
        MESSAGE = 'this is not a kind',
        DETAIL = CASE
            WHEN require_kind.kind IS NULL THEN 'It is NULL.'
            WHEN char_length(require_kind.kind) NOT BETWEEN 1 AND 255
                THEN format('It has %s characters.', char_length(require_kind.kind))
            ELSE format('It is %s.', to_json(require_kind.kind))
        END,
        HINT = 'A kind is a dotted lower-case name of at most 255 characters, such as comment.created.';
END
$$;
COMMENT ON FUNCTION belfry.require_kind(text, boolean) IS
    'Internal: true, or raises BF003 unless the text can be the name of a kind; with star also *.';
