CREATE OR REPLACE FUNCTION belfry.watched_statements(matching text, columns text, deduped boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
AS $$
-- Few are read once; of very many only enough to know. An insert of nothing would ring the bell.
SELECT format('
        few := (SELECT jsonb_agg(to_jsonb(m)) FROM (SELECT %2$s FROM %1$s LIMIT 1001) AS m);
        IF jsonb_array_length(few) > 1000 THEN
            INSERT INTO belfry.notification (%3$s) SELECT %2$s FROM %1$s%5$s;
        ELSIF few IS NOT NULL THEN
            INSERT INTO belfry.notification (%3$s) SELECT m.* FROM jsonb_to_recordset(few) AS m (%4$s)%5$s;
        END IF;',
    watched_statements.matching, watched_statements.columns,
    'recipient, topic, kind, title, body, data, action_url, severity, tenant, dedupe_key, group_key',
    'recipient text, topic text, kind text, title text, body text, data jsonb, action_url text, severity text, '
    'tenant text, dedupe_key text, group_key text',
    CASE WHEN watched_statements.deduped THEN ' ON CONFLICT DO NOTHING' ELSE '' END)
$$;
COMMENT ON FUNCTION belfry.watched_statements(text, text, boolean) IS
    'Internal: the statements by which the trigger of a watch sends what matches.';
