-- Removes all of Belfry from this database, notifications included; the roles stay, for other databases may use them.
-- Locks its own tables exclusively for an instant: senders that are in a transaction make it give up after two seconds.
SET LOCAL lock_timeout = '2s';
SET LOCAL ROLE belfry_owner;

DROP TABLE belfry.migration, belfry.api_key, belfry.setting, belfry.settled, belfry.epoch, belfry.inbox,
    belfry.subscription, belfry.change, belfry.notification;
DROP FUNCTION
    belfry.ensure_epoch,
    belfry.new_epoch,
    belfry.identity,
    belfry.settle(),
    belfry.settle(bigint, text),
    belfry.contact,
    belfry.unsubscribe,
    belfry.subscribe,
    belfry.broadcast,
    belfry.publish,
    belfry.send_many,
    belfry.send,
    belfry.deposit,
    belfry.last_position,
    belfry.require_notification,
    belfry.require_topic,
    belfry.require_recipient,
    belfry.ring;
DROP SCHEMA belfry;
SET LOCAL ROLE NONE;
