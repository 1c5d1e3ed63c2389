CREATE OR REPLACE FUNCTION belfry.greet(recipient text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM belfry.require_recipient(greet.recipient);
    -- A read-only transaction, also on a standby, reads as if the contact had been made.
    IF current_setting('transaction_read_only') = 'off'
        AND NOT EXISTS (SELECT FROM belfry.inbox WHERE inbox.recipient = greet.recipient) THEN
        PERFORM belfry.contact(ARRAY[greet.recipient]);
    END IF;
END
$$;
COMMENT ON FUNCTION belfry.greet(text) IS
    'Internal: refuses what is no recipient, and records the first contact where there is none and it can be written.';
