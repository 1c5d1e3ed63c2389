CREATE OR REPLACE TRIGGER notification_ring AFTER INSERT ON belfry.notification
    FOR EACH STATEMENT EXECUTE FUNCTION belfry.ring();
COMMENT ON TRIGGER notification_ring ON belfry.notification IS
    'Wakes the relays when they sleep.';
