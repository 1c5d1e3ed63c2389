CREATE OR REPLACE FUNCTION belfry.note(recipient text, verb text, ids bigint[], through bigint) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO belfry.change (recipient, verb, ids, through)
    SELECT note.recipient, note.verb, array_agg(named.id ORDER BY named.place),
        CASE WHEN (named.place - 1) / 1000 = 0 THEN note.through END
    FROM unnest(note.ids) WITH ORDINALITY AS named (id, place)
    GROUP BY (named.place - 1) / 1000 ORDER BY (named.place - 1) / 1000;
    IF NOT FOUND THEN
        INSERT INTO belfry.change (recipient, verb, through) VALUES (note.recipient, note.verb, note.through);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.note(text, text, bigint[], bigint) IS
    'Internal: writes what became of notifications of a recipient: one change, or more of 1000 ids each, of which the '
    'first says through.';
