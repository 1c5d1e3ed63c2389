CREATE OR REPLACE FUNCTION belfry.counts(
    recipient text, tenant text DEFAULT NULL, topics text[] DEFAULT NULL,
    OUT unread bigint, OUT unseen bigint, OUT total bigint
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM belfry.greet(counts.recipient);
    -- One statement, hence one snapshot.
    SELECT fresh.unread, fresh.unseen, kept.total INTO unread, unseen, total
    FROM belfry.tally(counts.recipient, counts.tenant, counts.topics, NULL, NULL) AS fresh,
        belfry.total(counts.recipient, counts.tenant, counts.topics) AS kept;
END
$$;
COMMENT ON FUNCTION belfry.counts(text, text, text[]) IS
    'How many notifications of the recipient are unread, unseen, and in the inbox at all (neither archived nor snoozed), '
    'exactly, in one snapshot. tenant and topics narrow: what was sent to the recipient directly is in every topic.';
