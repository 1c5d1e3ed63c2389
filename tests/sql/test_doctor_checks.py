"""What the doctor says of a database: each check finds the fault that it is there for, and says what to do."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from belfry import doctor, migrations
from belfry.config import Config
from belfry.doctor import bell, growth, rights, schema, server
from belfry.doctor.finding import Finding
from belfry.doctor.site import visited
from bench.postgres import Cluster
from tests.conftest import Connect

SECRET = "a-secret-of-more-than-thirty-two-bytes"
ALWAYS = (
    "login",
    "wake mode",
    "relays",
    "descriptors",
)  # as it is in tests: a superuser, no relay, prepared ones allowed

NEED_THE_SCHEMA = {
    "primary", "schema", "grants", "triggers", "wake mode", "transactions", "watches", "retention", "epoch",
}  # fmt: skip
"""What a login without any right on the schema cannot look at."""


async def look(url: str, check: Callable[[Any], Awaitable[Finding]], **settings: Any) -> Finding:
    """What one check finds."""
    async with visited(Config(database_url=url, **settings)) as site:
        return await doctor.looked(check, site)


async def test_a_fresh_database_is_healthy(database: str) -> None:
    found = await doctor.examine(Config(database_url=database, secret=SECRET))
    assert {name: each for name, each in found.items() if each.state != "ok" and name not in ALWAYS} == {}
    assert set(ALWAYS) < set(found)
    assert not [name for name, each in found.items() if each.state == "fail"]
    assert "is a superuser" in found["login"].seen


@pytest.mark.parametrize(
    ("fault", "check", "seen", "advice"),
    [
        ("DELETE FROM belfry.migration WHERE version = 3", schema.schema, "lacks 0003_audience", "belfry migrate up"),
        ("UPDATE belfry.migration SET checksum = 'x'", schema.schema, "was edited", "restore the file"),
        ("ALTER SEQUENCE belfry.position CACHE 10", server.primary, "count one by one", "ALTER SEQUENCE"),
        ("ALTER SEQUENCE belfry.position INCREMENT 2", server.primary, "count one by one", "ALTER SEQUENCE"),
        (
            "DROP INDEX belfry.notification_topic_idx",
            schema.indexes,
            "missing: notification_topic_idx",
            "CREATE INDEX CONCURRENTLY notification_topic_idx ON belfry.notification (topic, id)",
        ),
        (
            "DROP INDEX belfry.subscription_open_idx",
            schema.indexes,
            "missing: subscription_open_idx",
            "CREATE UNIQUE INDEX CONCURRENTLY subscription_open_idx",
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'belfry.change_topic_idx'::regclass",
            schema.indexes,
            "not valid: change_topic_idx",
            "REINDEX INDEX CONCURRENTLY belfry.change_topic_idx",
        ),
        ("ALTER TABLE belfry.kind DROP CONSTRAINT kind_pkey", schema.indexes, "no primary key: belfry.kind", "add it"),
        (
            "REVOKE SELECT ON belfry.receipt FROM belfry_relay",
            rights.grants,
            "belfry_relay lacks SELECT on belfry.receipt",
            "grants.sql",
        ),
        (
            "REVOKE USAGE ON SCHEMA belfry FROM belfry_sender",
            rights.grants,
            "belfry_sender lacks USAGE on belfry",
            "grants.sql",
        ),
        (
            "REVOKE INSERT (title) ON belfry.notification FROM belfry_sender",
            rights.grants,
            "belfry_sender lacks INSERT (title) on belfry.notification",
            "grants.sql",
        ),
        (
            "REVOKE SELECT ON belfry.settled FROM belfry_monitor",
            rights.grants,
            "belfry_monitor lacks SELECT on belfry.settled",
            "grants.sql",
        ),
        (
            "REVOKE SELECT ON SEQUENCE belfry.position FROM belfry_relay",
            rights.grants,
            "belfry_relay lacks SELECT on belfry.position",
            "grants.sql",
        ),
        (
            "REVOKE UPDATE (answer) ON belfry.idempotency FROM belfry_relay",
            rights.grants,
            "belfry_relay lacks UPDATE (answer) on belfry.idempotency",
            "grants.sql",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION belfry.counts FROM belfry_sender",
            rights.grants,
            "belfry_sender lacks EXECUTE on belfry.counts",
            "grants.sql",
        ),
        (
            "REVOKE EXECUTE ON FUNCTION belfry.settle(bigint, text) FROM belfry_relay",
            rights.grants,
            "belfry_relay lacks EXECUTE on belfry.settle(bigint, text)",
            "grants.sql",
        ),
        ("GRANT USAGE ON SCHEMA belfry TO PUBLIC", rights.grants, "everybody may use the schema", "grants.sql"),
        (
            "GRANT SELECT (title) ON belfry.notification TO PUBLIC",
            rights.grants,
            "everybody may use notification.title",
            "grants.sql",
        ),
        ("ALTER SCHEMA belfry OWNER TO CURRENT_USER", rights.grants, "does not own the schema", "its owners"),
        (
            "ALTER TABLE belfry.notification DISABLE TRIGGER USER",
            schema.triggers,
            "notification_ring is disabled",
            "ALTER TABLE belfry.notification ENABLE TRIGGER notification_ring",
        ),
        (
            "ALTER TABLE belfry.change ENABLE REPLICA TRIGGER change_ring",
            schema.triggers,
            "change_ring is disabled",
            "ALTER TABLE belfry.change ENABLE TRIGGER change_ring",
        ),
        ("DROP TRIGGER change_ring ON belfry.change", schema.triggers, "is gone", "sql/triggers/change_ring.sql"),
        ("GRANT SELECT ON belfry.inbox TO PUBLIC", rights.grants, "everybody may use inbox", "grants.sql"),
        ("GRANT EXECUTE ON FUNCTION belfry.counts TO PUBLIC", rights.grants, "everybody may use counts", "grants.sql"),
        ("ALTER TABLE belfry.inbox OWNER TO CURRENT_USER", rights.grants, "does not own inbox", "its owners"),
        ("ALTER FUNCTION belfry.send OWNER TO CURRENT_USER", rights.grants, "does not own send", "its owners"),
        (
            "ALTER TABLE belfry.receipt SET (autovacuum_enabled = false)",
            growth.vacuum,
            "off for receipt",
            "ALTER TABLE belfry.receipt RESET (autovacuum_enabled)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_fault_of_the_schema_fails_and_says_what_to_do(
    database: str, connect: Connect, fault: str, check: Callable[[Any], Awaitable[Finding]], seen: str, advice: str
) -> None:
    assert (await look(database, check)).state == "ok"
    await (await connect()).execute(fault.encode())
    found = await look(database, check)
    assert found.state == "fail", found
    assert seen in found.seen
    assert advice in found.advice


async def test_a_relay_that_is_no_sender_is_told(own_postgres: Cluster, connect: Connect) -> None:
    """Roles are not in a dump: who makes them anew by hand forgets that one is a member of the other."""
    url = own_postgres.url("postgres")
    admin = await connect(url)
    await migrations.up(admin)
    await admin.execute("REVOKE belfry_sender FROM belfry_relay")
    found = await look(url, rights.grants)
    assert (found.state, found.advice) == ("fail", "GRANT belfry_sender TO belfry_relay"), found
    await admin.execute(found.advice.encode())
    assert (await look(url, rights.grants)).state == "ok"


async def test_a_database_that_is_newer_than_this_belfry_is_a_warning(database: str, connect: Connect) -> None:
    await (await connect()).execute("INSERT INTO belfry.migration (version, name) VALUES (9999, 'of_tomorrow')")
    found = await look(database, schema.schema)
    assert (found.state, "9999_of_tomorrow" in found.seen) == ("warn", True), found


async def test_what_it_says_to_do_about_an_index_makes_it_whole_again(database: str, connect: Connect) -> None:
    owner = await connect()
    names = list(schema.declared(each.up for each in migrations.load()))
    for name in names:
        await owner.execute(f"DROP INDEX belfry.{name}".encode())
    for _ in names:
        found = await look(database, schema.indexes)
        assert found.state == "fail"
        await owner.execute(found.advice.encode())
    assert (await look(database, schema.indexes)).state == "ok"


async def test_a_database_without_the_schema_fails_once_and_skips_the_rest(empty_database: str) -> None:
    found = await doctor.examine(Config(database_url=empty_database))
    assert [name for name, each in found.items() if each.state == "fail"] == ["schema"]
    assert "migrate up" in found["schema"].advice
    assert {found[name].state for name in ("primary", "grants", "indexes", "transactions", "vacuum", "epoch")} == {
        "skipped"
    }


# --- the server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "prepared", "state"),
    [
        (130_022, 0, "fail"),
        (140_000, 0, "warn"),
        (140_000, 10, "fail"),
        (140_001, 10, "ok"),
        (180_003, 0, "ok"),
        (190_000, 0, "warn"),
    ],
)
def test_versions_are_judged(number: int, prepared: int, state: str) -> None:
    found = server.version(number, "a text", prepared)
    assert found.state == state
    assert bool(found.advice) == (state != "ok")


async def test_the_clock_is_compared(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = server.time.time
    for ahead, state, words in ((5, "warn", "5.0 s ahead of"), (-5, "warn", "5.0 s behind"), (-120, "fail", "120.0 s")):
        monkeypatch.setattr(server.time, "time", lambda ahead=ahead: real() + ahead)
        found = await look(database, server.clock)
        assert (found.state, words in found.seen) == (state, True), found


async def test_a_far_server_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FAR_SECONDS", 0.0)
    assert "near" in (await look(database, server.round_trip)).advice


async def test_a_loose_commit_is_told_for_whom(database: str, connect: Connect) -> None:
    owner = await connect()
    await owner.execute(f"ALTER DATABASE {owner.info.dbname} SET synchronous_commit = off".encode())
    found = await look(database, server.durability)
    assert (found.state, "all of this database" in found.seen) == ("warn", True), found


async def test_a_crowd_of_connections_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FULL", 0.0)
    found = await look(database, server.connections)
    assert (found.state, bool(re.match(r"\d+ of \d+ are in use", found.seen))) == ("warn", True), found


async def test_another_server_than_the_epoch_began_on_is_told(database: str, connect: Connect) -> None:
    owner = await connect()
    await owner.execute("UPDATE belfry.epoch SET system_identifier = 1, timeline = '00000001'")
    assert (await look(database, server.epoch)).state == "warn"
    await owner.execute("UPDATE belfry.epoch SET system_identifier = NULL, timeline = NULL")
    assert (await look(database, server.epoch)).state == "ok"
    await owner.execute("UPDATE belfry.epoch SET database = 1")
    assert "another database" in (await look(database, server.epoch)).seen


async def test_a_check_that_gets_no_answer_in_time_fails_and_the_next_goes_on(
    database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECK_SECONDS", 0.2)
    holder = await connect()
    async with holder.transaction(), visited(Config(database_url=database)) as site:
        await holder.execute("LOCK belfry.setting")
        found = await doctor.looked(bell.wake_mode, site)
        assert (found.state, "no answer within 0.2 s" in found.seen) == ("fail", True), found
        assert (await doctor.looked(bell.queue, site)).state == "ok"


# --- from a commit to a stream ---------------------------------------------------------------------------------


async def test_where_transactions_are_prepared_the_wake_mode_counts(database: str, connect: Connect) -> None:
    owner = await connect()
    cursor = await owner.execute("SELECT current_setting('max_prepared_transactions')::integer > 0")
    prepared = (await cursor.fetchall())[0][0]
    assert (await look(database, bell.wake_mode)).state == ("warn" if prepared else "ok")
    await owner.execute("UPDATE belfry.setting SET value = 'poll'")
    assert (await look(database, bell.wake_mode)).state == "ok"


@pytest.mark.parametrize(("long", "very_long", "state"), [(0, 3600, "warn"), (0, 0, "fail"), (60, 3600, "ok")])
async def test_a_sender_that_stays_open_is_named(
    database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch, long: int, very_long: int, state: str
) -> None:
    monkeypatch.setattr(bell, "LONG_SECONDS", long)
    monkeypatch.setattr(bell, "VERY_LONG_SECONDS", very_long)
    assert (await look(database, bell.transactions)).seen == "no sender's transaction is open"
    writer = await connect(application_name="the shop")
    async with writer.transaction():
        await writer.execute("SELECT belfry.send('u1', 'test')")
        found = await look(database, bell.transactions)
        assert found.state == state, found
        if state != "ok":
            assert f"the shop (process {writer.info.backend_pid}, idle in transaction)" in found.seen
            assert f"pg_terminate_backend({writer.info.backend_pid})" in found.advice


async def test_a_prepared_transaction_that_waits_is_named(
    database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bell, "LONG_SECONDS", 0)
    writer, gid = await connect(), f"doctor {os.getpid()}"
    await writer.execute("UPDATE belfry.setting SET value = 'poll'")
    await writer.execute("BEGIN")
    await writer.execute("SELECT belfry.send('u1', 'test')")
    try:
        await writer.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    except psycopg.errors.ObjectNotInPrerequisiteState:
        pytest.skip("this server prepares no transactions")
    try:
        found = await look(database, bell.transactions)
    finally:
        await writer.execute(f"ROLLBACK PREPARED '{gid}'".encode())
    assert (found.state, f"COMMIT PREPARED or ROLLBACK PREPARED '{gid}'") == ("warn", found.advice)


async def test_a_full_queue_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "FILLING", 0.0)
    assert (await look(database, bell.queue)).state == "warn"
    monkeypatch.setattr(bell, "FULL", 0.0)
    assert (await look(database, bell.queue)).state == "fail"


async def test_relays_are_counted_and_one_that_does_not_listen_is_told(database: str, connect: Connect) -> None:
    assert "none is connected" in (await look(database, bell.relays)).seen
    await connect(application_name="belfry relay")
    assert "1 connected, and 0 listening" in (await look(database, bell.relays)).seen
    await connect(application_name="belfry listener")
    assert (await look(database, bell.relays)).seen == "1 connected, awake"


async def test_a_relay_that_sleeps_is_seen(database: str, connect: Connect) -> None:
    relay = await connect(application_name="belfry relay")
    await connect(application_name="belfry listener")
    await relay.execute("SELECT pg_advisory_lock(1111837766, 1)")
    assert (await look(database, bell.relays)).seen == "1 connected, asleep"


# --- watches ---------------------------------------------------------------------------------------------------

ORDERS = """
    CREATE SCHEMA IF NOT EXISTS shop;
    CREATE TABLE shop.orders (number integer, owner text, total integer);
    SELECT belfry.watch('shop.orders', 'insert', recipient => 'owner', kind => 'order.placed',
        title => 'Order {number}', condition => 'new.total / new.number >= 0', name => 'orders, placed')
"""


async def test_watches_are_counted(database: str, connect: Connect) -> None:
    assert (await look(database, bell.watches)).seen == "none is declared"
    owner = await connect()
    await owner.execute(ORDERS)
    await owner.execute("INSERT INTO shop.orders VALUES (1, 'u1', 10)")
    found = await look(database, bell.watches)
    assert (found.state, found.seen) == ("ok", "1 declared, none has failed within the last hour")


async def test_a_watch_that_fails_is_named_with_its_message(database: str, connect: Connect, as_login: Any) -> None:
    owner = await connect()
    await owner.execute(ORDERS)
    monitor = await as_login("belfry_monitor")
    assert (await look(monitor, bell.watches)).state == "ok"
    await owner.execute("INSERT INTO shop.orders VALUES (0, 'u1', 10)")
    found = await look(database, bell.watches)
    assert found.state == "fail", found
    assert "1 of 1 failed within the last hour, 'orders, placed' on shop.orders with: division by zero" in found.seen
    assert "belfry.unwatch('orders, placed')" in found.advice
    assert "1 failed" in (await look(monitor, bell.watches)).seen
    await owner.execute("UPDATE belfry.watch_failure SET failed_at = now() - interval '2 hours'")
    assert (await look(database, bell.watches)).state == "ok"
    assert (await look(monitor, bell.watches)).state == "ok"


async def test_a_watch_without_its_trigger_is_named(database: str, connect: Connect) -> None:
    owner = await connect()
    await owner.execute(ORDERS)
    await owner.execute("ALTER TABLE shop.orders DISABLE TRIGGER ALL")
    found = await look(database, bell.watches)
    assert (found.state, "'orders, placed' is gone or disabled" in found.seen) == ("warn", True), found
    await owner.execute("DROP TABLE shop.orders")
    assert (await look(database, bell.watches)).state == "warn"


async def test_who_writes_to_a_watched_table_and_may_not_send_is_named(
    database: str, connect: Connect, as_login: Any
) -> None:
    owner = await connect()
    await owner.execute(ORDERS)
    name = psycopg.conninfo.conninfo_to_dict(await as_login())["user"]
    await owner.execute(f"GRANT INSERT ON shop.orders TO {name}".encode())
    try:
        found = await look(database, bell.watches)
        assert (found.state, found.advice) == ("warn", f"GRANT belfry_sender TO {name}"), found
    finally:
        await owner.execute("DROP TABLE shop.orders")  # else the role could not go


# --- growth ----------------------------------------------------------------------------------------------------


async def test_dead_rows_are_told_with_their_table(
    database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "DEAD_ROWS", 50)
    writer = await connect()
    await writer.execute("INSERT INTO belfry.inbox SELECT 'u' || n, 0 FROM generate_series(1, 200) AS n")
    await writer.execute("DELETE FROM belfry.inbox WHERE recipient LIKE 'u1%'")
    await writer.close()  # its statistics leave with it
    async with asyncio.timeout(10):
        while (found := await look(database, growth.vacuum)).state == "ok":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
    assert re.match(r"\d\d% of the rows of belfry.inbox are dead \(111 rows\)", found.seen), found
    assert "VACUUM (ANALYZE) belfry.inbox" in found.advice


async def test_rows_that_outlive_the_retention_are_told(database: str, connect: Connect) -> None:
    owner = await connect()
    assert (await look(database, growth.retention, retention_days=7)).state == "ok"
    await owner.execute("SELECT belfry.send('u1', 'test')")
    assert (await look(database, growth.retention, retention_days=7)).state == "ok"
    await owner.execute("UPDATE belfry.notification SET created_at = now() - interval '9 days'")
    found = await look(database, growth.retention, retention_days=7)
    assert (found.state, "the oldest notification is 9 days old" in found.seen) == ("warn", True), found


async def test_much_without_a_retention_is_told(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await look(database, growth.retention)).state == "ok"
    monkeypatch.setattr(growth, "MANY_ROWS", -1)
    assert "BELFRY_RETENTION_DAYS" in (await look(database, growth.retention)).advice


# --- with few rights -------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def as_login(database: str, connect: Connect) -> Any:
    """Makes logins with some roles; the URL of each. They are gone afterwards."""
    owner, made = await connect(), list[str]()

    async def make(*roles: str, more: str = "") -> str:
        name = f"belfry_test_doctor_{os.getpid()}_{len(made)}"
        made.append(name)
        await owner.execute(f"DROP ROLE IF EXISTS {name}".encode())
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'doctor' {more}".encode())
        for role in roles:
            await owner.execute(f"GRANT {role} TO {name}".encode())
        return psycopg.conninfo.make_conninfo(database, user=name, password="doctor")

    yield make
    for name in made:
        await owner.execute(f"DROP ROLE {name}".encode())


@pytest.mark.parametrize(
    ("role", "skipped", "state"),
    [
        ("belfry_relay", set[str](), "ok"),
        ("belfry_monitor", set[str](), "warn"),
        ("belfry_owner", set[str](), "warn"),
        ("belfry_sender", {"schema", "wake mode", "epoch"}, "warn"),
        (None, NEED_THE_SCHEMA, "fail"),
    ],
)
async def test_it_looks_as_far_as_the_login_may_and_says_what_would_let_it(
    as_login: Any, role: str | None, skipped: set[str], state: str
) -> None:
    url = await as_login(*([role] if role else []))
    found = await doctor.examine(Config(database_url=url, secret=SECRET))
    assert {name for name, each in found.items() if each.state == "skipped"} == skipped
    assert all("may not" in found[name].seen and "grant" in found[name].advice.lower() for name in skipped)
    assert [name for name, each in found.items() if each.state == "fail"] == (["login"] if state == "fail" else [])
    assert found["login"].state == state
    assert state == "ok" or "GRANT belfry_relay TO" in found["login"].advice


async def test_the_age_of_a_foreign_transaction_is_not_guessed(as_login: Any, connect: Connect) -> None:
    url, writer = await as_login("belfry_monitor"), await connect()
    async with writer.transaction():
        await writer.execute("SELECT belfry.send('u1', 'test')")
        found = await look(url, bell.transactions)
        assert (found.state, "pg_read_all_stats" in found.advice) == ("skipped", True), found
        assert (await look(await as_login("belfry_monitor", "pg_read_all_stats"), bell.transactions)).state == "ok"


async def test_the_connections_of_others_count_though_this_login_may_not_look_at_them(
    as_login: Any, connect: Connect
) -> None:
    url = await as_login("belfry_relay")
    for _ in range(5):
        await connect()
    found = await look(url, server.connections)
    assert int(found.seen.split()[0]) >= 8, found  # those, and the doctor's three


async def test_a_login_with_too_few_connections_fails(as_login: Any) -> None:
    found = await look(await as_login("belfry_relay", more="CONNECTION LIMIT 4"), server.connections)
    assert (found.state, "4, and a relay needs 6" in found.seen) == ("fail", True), found


async def test_a_server_that_does_not_tell_which_one_it_is_leaves_advice(as_login: Any, connect: Connect) -> None:
    url = await as_login("belfry_relay")
    await (await connect()).execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    found = await look(url, server.epoch)
    assert (found.state, "belfry.new_epoch()" in found.advice) == ("skipped", True), found
    assert (await look(url, server.primary)).state == "ok"


@pytest.mark.parametrize("wrong", ["a password", "a database", "a host"])
async def test_a_url_that_leads_nowhere_is_a_finding_and_the_settings_are_looked_at_all_the_same(
    database: str, wrong: str
) -> None:
    changes = {"a database": {"dbname": "nowhere"}, "a host": {"host": "127.0.0.1", "port": 1}}.get(
        wrong, {"user": "x"}
    )
    url = psycopg.conninfo.make_conninfo(database, **changes)
    for settings, name in (({}, "DATABASE"), ({"direct_url": url}, "DIRECT")):
        found = await doctor.examine(Config(**{"database_url": database if settings else url, **settings}))
        assert set(found) == {"database", "settings", "descriptors"}
        assert (found["database"].state, f"BELFRY_{name}_URL" in found["database"].advice) == ("fail", True), found
