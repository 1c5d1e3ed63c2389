CREATE OR REPLACE FUNCTION belfry.keep_marked(recipient text, verb text, ids bigint[]) RETURNS void
    LANGUAGE sql
AS $$
UPDATE belfry.inbox SET kept = inbox.kept + CASE keep_marked.verb WHEN 'archived' THEN -1 ELSE 1 END * (
    SELECT count(*) FROM unnest(keep_marked.ids) AS turned (id) WHERE turned.id <= inbox.kept_through)
WHERE inbox.recipient = keep_marked.recipient AND keep_marked.verb IN ('archived', 'unarchived')
$$;
COMMENT ON FUNCTION belfry.keep_marked(text, text, bigint[]) IS
    'Internal: lets inbox.kept follow notifications that have been archived, or taken back out of the archive.';
