CREATE OR REPLACE FUNCTION belfry.preferences(recipient text)
    RETURNS TABLE (kind text, label text, required boolean, enabled boolean, chosen boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    everything boolean;
BEGIN
    PERFORM belfry.require_recipient(preferences.recipient);
    SELECT own.enabled INTO everything FROM belfry.preference AS own
    WHERE own.recipient = preferences.recipient AND own.kind = '*' AND own.until IS NULL;
    RETURN QUERY
    SELECT coalesce(declared.kind, own.kind), coalesce(declared.label, ''), coalesce(declared.required, false),
        coalesce(declared.required, false) OR coalesce(own.enabled, everything, declared.enabled, true),
        own.kind IS NOT NULL
    FROM (SELECT * FROM belfry.kind AS k WHERE k.until IS NULL) AS declared
    FULL JOIN (
        SELECT * FROM belfry.preference AS p WHERE p.recipient = preferences.recipient AND p.until IS NULL) AS own
        ON own.kind = declared.kind
    ORDER BY coalesce(declared.kind, own.kind) COLLATE "C";
END
$$;
COMMENT ON FUNCTION belfry.preferences(text) IS
    'How each declared kind, and what else they have chosen, stands for the recipient: enabled is what holds now, chosen '
    'whether it is their own choice.';
