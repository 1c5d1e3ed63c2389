"""Chaos' scenarios: each fault with the ground that it needs, and what shows that it was felt."""

from __future__ import annotations

from collections.abc import Mapping

from bench.chaos_faults import (
    Dropping,
    Reloading,
    Scenario,
    backends_killed,
    bell_stopped,
    connections_exhausted,
    disk_full,
    listener_killed,
    million_rolled_back,
    network_frozen,
    pooler_reconnects,
    postgres_killed,
    prepared_late,
    relay_killed,
    relay_stopped,
    standby_promoted,
    standbys_promoted,
    writer_idles,
)

SCENARIOS: Mapping[str, Scenario] = {
    "listener": Scenario("LISTEN backends terminated, five times", listener_killed, shows=("listener connects",)),
    "backends": Scenario("all backends terminated, three times", backends_killed, shows=("relay connects",)),
    "postgres": Scenario("Postgres SIGKILL, back after a second", postgres_killed, shows=("relay connects",)),
    "relay": Scenario("a relay SIGKILL, back after a second", relay_killed, shows=("no connection",)),
    "stopped": Scenario("a relay SIGSTOP for 20 s", relay_stopped, shows=("timeout",)),
    "bell": Scenario(
        "the relay that holds the bell SIGSTOP for 12 s",
        bell_stopped,
        relays=2,
        writers=3,  # of more, some transaction is open nearly always, and no relay gets the bell
        shows=("relay connects",),
        disorders=True,
    ),
    "network": Scenario("network to Postgres frozen for 30 s, no reset", network_frozen, shows=("relay connects",)),
    "disk": Scenario(
        "disk full for 8 s",
        disk_full,
        small_disk=True,
        settings={"max_wal_size": "64MB"},
        shows=("failed 53100", "failed connection"),
    ),
    "connections": Scenario(
        "max_connections exhausted for 6 s",
        connections_exhausted,
        settings={"max_connections": "60"},
        shows=("relay connects",),
    ),
    "idle": Scenario("a writer idle in its transaction for 60 s", writer_idles),
    "prepared": Scenario(
        "two-phase commit, late",
        prepared_late,
        wake_mode="poll",
        prepare=True,
        shows=("prepared committed late",),
    ),
    "async": Scenario(
        "a crash after commits with synchronous_commit = off",
        postgres_killed,
        settings={"synchronous_commit": "off", "wal_writer_delay": "10s"},
        client=Reloading,
        forks=True,
    ),
    "million": Scenario("a rolled back insert of a million rows", million_rolled_back, client=Dropping, disorders=True),
    "pooler": Scenario(
        "writers through PgBouncer in transaction mode", pooler_reconnects, pooler=True, shows=("failed 57P01",)
    ),
    "failover": Scenario("a lagging standby promoted", standby_promoted, standbys=1, client=Reloading, forks=True),
    "standbys": Scenario(
        "two standbys promoted, one after the other", standbys_promoted, standbys=2, client=Reloading, forks=True
    ),
}
