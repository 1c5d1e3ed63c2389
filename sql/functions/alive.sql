CREATE OR REPLACE FUNCTION belfry.alive(ended_at timestamptz, expires_at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
AS $$
SELECT alive.ended_at IS NULL AND (alive.expires_at IS NULL OR alive.expires_at > now())
$$;
COMMENT ON FUNCTION belfry.alive(timestamptz, timestamptz) IS
    'Internal: whether a notification is neither retracted nor expired. Postgres writes it into the query (inlines it).';
