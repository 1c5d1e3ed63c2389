CREATE OR REPLACE FUNCTION belfry.set_preference(recipient text, kind text, enabled boolean) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present boolean;
    taken bigint;
BEGIN
    PERFORM belfry.require_kind(set_preference.kind, true);
    IF set_preference.enabled IS FALSE AND EXISTS (
        SELECT FROM belfry.kind WHERE kind.kind = set_preference.kind AND kind.until IS NULL AND kind.required) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'BF011', COLUMN = 'kind',
            MESSAGE = 'this kind cannot be muted',
            DETAIL = format('The kind "%s" is declared as required.', set_preference.kind),
            HINT = 'Leave it on; belfry.declare_kind says what is required.';
    END IF;
    PERFORM belfry.enter(set_preference.recipient);
    SELECT preference.enabled INTO present FROM belfry.preference
    WHERE preference.recipient = set_preference.recipient AND preference.kind = set_preference.kind
        AND preference.until IS NULL;
    IF present IS NOT DISTINCT FROM set_preference.enabled THEN
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (recipient, verb, kind, enabled)
    VALUES (set_preference.recipient, 'preference', set_preference.kind, set_preference.enabled)
    RETURNING change.id INTO taken;
    UPDATE belfry.preference SET until = taken
    WHERE preference.recipient = set_preference.recipient AND preference.kind = set_preference.kind
        AND preference.until IS NULL;
    IF set_preference.enabled IS NOT NULL THEN
        INSERT INTO belfry.preference (recipient, kind, since, enabled)
        VALUES (set_preference.recipient, set_preference.kind, taken, set_preference.enabled);
    END IF;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.set_preference(text, text, boolean) IS
    'Switches a kind on or off for the recipient, NULL goes back to the default; the kind * stands for all without a '
    'choice of their own. Concerns what is sent with a higher id: a muted notification is in no list, no count and no '
    'stream. Returns the position of the change, or NULL when nothing changes. BF011 for a required kind.';
