CREATE OR REPLACE FUNCTION belfry.mutes(recipient text, OUT kinds text[], OUT ranges int8multirange[])
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM belfry.kind WHERE NOT kind.enabled) AND NOT EXISTS (
        SELECT FROM belfry.preference WHERE preference.recipient = mutes.recipient AND NOT preference.enabled)
    THEN
        RETURN;
    END IF;
    -- What the recipient chose for the kind goes before what they chose for *, and that before the default.
    WITH chosen AS (
        SELECT preference.kind,
            coalesce(range_agg(int8range(preference.since, preference.until, '()')) FILTER (WHERE preference.enabled),
                '{}') AS wanted,
            coalesce(range_agg(int8range(preference.since, preference.until, '()'))
                FILTER (WHERE NOT preference.enabled), '{}') AS unwanted
        FROM belfry.preference WHERE preference.recipient = mutes.recipient GROUP BY preference.kind
    ), declared AS (
        SELECT kind.kind,
            coalesce(range_agg(int8range(kind.since, kind.until, '()')) FILTER (WHERE NOT kind.enabled), '{}') AS off,
            coalesce(range_agg(int8range(kind.since, kind.until, '()')) FILTER (WHERE kind.required), '{}') AS required
        FROM belfry.kind GROUP BY kind.kind HAVING bool_or(kind.required OR NOT kind.enabled)
    ), everything AS (
        SELECT coalesce((SELECT chosen.wanted FROM chosen WHERE chosen.kind = '*'), '{}') AS wanted,
            coalesce((SELECT chosen.unwanted FROM chosen WHERE chosen.kind = '*'), '{}') AS unwanted
    ), named AS (
        SELECT '*' AS kind UNION SELECT chosen.kind FROM chosen UNION SELECT declared.kind FROM declared
    ), judged AS (
        SELECT named.kind,
            ((coalesce(declared.off, '{}') - everything.wanted + everything.unwanted)
                - coalesce(own.wanted, '{}') + coalesce(own.unwanted, '{}'))
                - coalesce(declared.required, '{}') AS range
        FROM named CROSS JOIN everything
        LEFT JOIN declared ON declared.kind = named.kind
        LEFT JOIN chosen AS own ON own.kind = named.kind AND own.kind <> '*'
    )
    SELECT array_agg(judged.kind ORDER BY judged.kind <> '*', judged.kind),
        array_agg(judged.range ORDER BY judged.kind <> '*', judged.kind)
    INTO kinds, ranges FROM judged;
END
$$;
COMMENT ON FUNCTION belfry.mutes(text) IS
    'Internal, for belfry.muted: at which positions the recipient had muted which kinds. The first is *, for every kind '
    'that is not named; NULL where nothing is muted.';
