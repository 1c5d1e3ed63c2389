CREATE OR REPLACE TRIGGER change_ring AFTER INSERT ON belfry.change
    FOR EACH STATEMENT EXECUTE FUNCTION belfry.ring();
COMMENT ON TRIGGER change_ring ON belfry.change IS
    'Wakes the relays when they sleep.';
