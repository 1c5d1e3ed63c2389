CREATE OR REPLACE FUNCTION belfry.unwatch(name text) RETURNS boolean
    LANGUAGE plpgsql SET lock_timeout = '2s'
AS $$
DECLARE
    present belfry.watched;
BEGIN
    SELECT * INTO present FROM belfry.watched AS w WHERE w.name = unwatch.name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF pg_has_role(current_user, 'belfry_owner', 'USAGE') THEN
        EXECUTE format('DROP FUNCTION IF EXISTS belfry.%I() CASCADE', 'watch_' || present.number);
    ELSIF EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = present.source) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', 'belfry_watch_' || present.number, present.source);
    END IF;
    PERFORM belfry.forget_watch(present.number);
    RETURN true;
END
$$;
COMMENT ON FUNCTION belfry.unwatch(text) IS
    'Removes a watch, its trigger and its failures; what it has sent stays. Returns whether there was one that the '
    'caller may remove: the owner of the table, or belfry_owner. Locks the table for an instant, and gives up after 2 s.';
