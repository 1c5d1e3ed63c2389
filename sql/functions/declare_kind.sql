CREATE OR REPLACE FUNCTION belfry.declare_kind(
    kind text, label text DEFAULT '', required boolean DEFAULT false, enabled boolean DEFAULT true
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    present belfry.kind;
    taken bigint;
BEGIN
    PERFORM belfry.require_kind(declare_kind.kind, false);
    declare_kind.label := coalesce(declare_kind.label, '');
    declare_kind.required := coalesce(declare_kind.required, false);
    declare_kind.enabled := coalesce(declare_kind.enabled, true);
    -- Before the id is taken, so that the ids of declarations are in the order of their commits.
    PERFORM pg_advisory_xact_lock(1111837766, 3);
    SELECT * INTO present FROM belfry.kind WHERE kind.kind = declare_kind.kind AND kind.until IS NULL;
    IF present.required IS NOT DISTINCT FROM declare_kind.required
        AND present.enabled IS NOT DISTINCT FROM declare_kind.enabled THEN
        UPDATE belfry.kind SET label = declare_kind.label
        WHERE kind.kind = declare_kind.kind AND kind.until IS NULL AND kind.label <> declare_kind.label;
        RETURN NULL;
    END IF;
    INSERT INTO belfry.change (topic, verb, kind, enabled)
    VALUES ('*', 'declared', declare_kind.kind, declare_kind.enabled OR declare_kind.required)
    RETURNING change.id INTO taken;
    UPDATE belfry.kind SET until = taken WHERE kind.kind = declare_kind.kind AND kind.until IS NULL;
    -- Conflicts only when a snapshot older than the lock hid another declaration; then this raises 40001, not 23505.
    INSERT INTO belfry.kind (kind, since, label, required, enabled)
    VALUES (declare_kind.kind, taken, declare_kind.label, declare_kind.required, declare_kind.enabled)
    ON CONFLICT (kind) WHERE until IS NULL DO NOTHING;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION belfry.declare_kind(text, text, boolean, boolean) IS
    'Says what people read for a kind in their preferences, whether it is required (nobody can mute it) and whether it '
    'is on for those who made no choice. Concerns what is sent with a higher id. Returns the position of the change, or '
    'NULL when at most the label changes. For migrations: calling it again with the same arguments does nothing.';
