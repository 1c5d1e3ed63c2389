CREATE OR REPLACE FUNCTION belfry.erase(recipient text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone bigint;
    removed bigint := 0;
BEGIN
    PERFORM belfry.require_recipient(erase.recipient);
    -- Who defines a segment may be about to put them into it, as may who sets their traits: hence these go before stays.
    PERFORM pg_advisory_xact_lock_shared(1111837766, 4);
    -- First of the rows, as whoever changes this recipient's state does: they wait, and then find nothing.
    DELETE FROM belfry.inbox WHERE inbox.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.receipt WHERE receipt.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.notification WHERE notification.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.scheduled WHERE scheduled.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.traits WHERE traits.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.subscription WHERE subscription.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.preference WHERE preference.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    DELETE FROM belfry.change WHERE change.recipient = erase.recipient;
    GET DIAGNOSTICS gone = ROW_COUNT;
    removed := removed + gone;
    -- A relay that misses the newest row it has seen takes the database for another one: so there is a newer row. It
    -- says nothing, to a topic that nobody can have.
    IF removed > 0 THEN
        INSERT INTO belfry.change (topic, verb, ids) VALUES ('/', 'retracted', '{0}');
    END IF;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION belfry.erase(text) IS
    'Forgets a recipient inside the caller''s transaction: what was sent to them directly, what they did, their '
    'subscriptions, preferences, traits and changes. Returns how many rows went. What others were sent stays, with what '
    'it may say of them. Stop sending to them first: what is sent afterwards is a new beginning. Streams that are open '
    'go on until their token ends.';
