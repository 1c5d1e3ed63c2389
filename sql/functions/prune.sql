CREATE OR REPLACE FUNCTION belfry.prune(older_than interval, max_rows integer DEFAULT 10000) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = 'force_custom_plan'
AS $$
DECLARE
    present belfry.settled;
    young CONSTANT timestamptz := now() - prune.older_than;
    boundary bigint;
    gone bigint;
    removed bigint := 0;
BEGIN
    PERFORM belfry.require_argument(
        prune.older_than >= interval '0', 'older_than', format('It is %s.', coalesce(prune.older_than::text, 'NULL')),
        'Give an age, such as interval ''90 days''.');
    PERFORM belfry.require_argument(
        prune.max_rows BETWEEN 1 AND 100000, 'max_rows', format('It is %s.', coalesce(prune.max_rows::text, 'NULL')),
        'Give a number from 1 to 100000, and call it until it returns 0.');
    IF NOT pg_try_advisory_xact_lock(1111837766, 5) THEN
        RETURN 0;
    END IF;
    -- Waits, where somebody has marked all and is still open, before anything is held for which others would wait.
    SELECT * INTO present FROM belfry.settled FOR UPDATE;
    -- What is left of the rows that went before: nobody has it any more, so it need not go in one transaction with them.
    DELETE FROM belfry.receipt AS c USING (
        SELECT receipt.recipient, receipt.notification_id FROM belfry.receipt
        WHERE receipt.notification_id <= present.pruned LIMIT prune.max_rows) AS orphan
    WHERE c.recipient = orphan.recipient AND c.notification_id = orphan.notification_id;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.subscription AS s USING (
        SELECT subscription.recipient, subscription.topic, subscription.since FROM belfry.subscription
        WHERE subscription.until <= present.pruned LIMIT prune.max_rows) AS over
    WHERE s.recipient = over.recipient AND s.topic = over.topic AND s.since = over.since;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.preference AS p USING (
        SELECT preference.recipient, preference.kind, preference.since FROM belfry.preference
        WHERE preference.until <= present.pruned LIMIT prune.max_rows) AS over
    WHERE p.recipient = over.recipient AND p.kind = over.kind AND p.since = over.since;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    IF removed >= prune.max_rows THEN
        RETURN removed;
    END IF;
    -- Both tables up to one position: the last old one before the first that is young, or before a page is full.
    SELECT least(
        (SELECT CASE WHEN count(*) = prune.max_rows OR bool_or(page.created_at >= young)
                THEN coalesce(min(page.id) FILTER (WHERE page.created_at >= young) - 1, max(page.id))
                ELSE present.through END
            FROM (SELECT n.id, n.created_at FROM belfry.notification AS n
                WHERE n.id > present.pruned AND n.id <= present.through ORDER BY n.id LIMIT prune.max_rows) AS page),
        (SELECT CASE WHEN count(*) = prune.max_rows OR bool_or(page.created_at >= young)
                THEN coalesce(min(page.id) FILTER (WHERE page.created_at >= young) - 1, max(page.id))
                ELSE present.through END
            FROM (SELECT g.id, g.created_at FROM belfry.change AS g
                WHERE g.id > present.pruned AND g.id <= present.through ORDER BY g.id LIMIT prune.max_rows) AS page))
    INTO boundary;
    DELETE FROM belfry.notification AS n WHERE n.id > present.pruned AND n.id <= boundary;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.change AS g WHERE g.id > present.pruned AND g.id <= boundary;
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF removed + gone > 0 AND boundary > present.pruned THEN
        UPDATE belfry.settled SET pruned = boundary;
    END IF;
    RETURN removed + gone;
END
$$;
COMMENT ON FUNCTION belfry.prune(interval, integer) IS
    'Removes notifications and changes that are older, oldest first and read or not, with what belongs to them: one '
    'batch, at most max_rows of each table. Returns how many rows went; call it until it returns 0, which it also does '
    'while another prunes. Never above what is settled. A client that comes back from before gets a reset ("pruned"); '
    'the dedupe keys of what went are free again.';
