"""`belfry migrate`: up, down, status, sql, check and carry."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import psycopg
import pytest

from belfry import carry, errors, migrations

LATEST = migrations.load()[-1]
LABELS = [one.label for one in migrations.load()]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of sql/ that a test may edit, used instead of the true one."""
    directory = tmp_path / "sql"
    shutil.copytree(migrations.source(), directory)
    monkeypatch.setattr(migrations, "source", lambda: directory)
    return directory


def write(directory: Path, label: str, up: str, down: str) -> None:
    version, name = label.split("_", 1)
    record = f"INSERT INTO belfry.migration (version, name) VALUES ({int(version)}, '{name}');"
    forget = f"DELETE FROM belfry.migration WHERE version = {int(version)};"
    (directory / "migrations" / f"{label}.up.sql").write_text(f"{up}\n{record}\n", encoding="utf-8")
    (directory / "migrations" / f"{label}.down.sql").write_text(f"{down}\n{forget}\n", encoding="utf-8")


NEXT = f"{LATEST.version + 1:04}_another"


# --- up ----------------------------------------------------------------------------------------------------


async def test_up_applies_what_is_missing_and_a_second_up_nothing(connect: Any, empty_database: str) -> None:
    connection = await connect(empty_database)
    assert [one.label for one in await migrations.up(connection)] == LABELS
    assert await migrations.up(connection) == []
    await migrations.check(connection)


async def test_twenty_at_once_apply_each_migration_once(connect: Any, ask: Any, empty_database: str) -> None:
    connections = [await connect(empty_database) for _ in range(20)]
    done = await asyncio.gather(*(migrations.up(one) for one in connections))
    assert sorted(len(one) for one in done) == [0] * 19 + [len(LABELS)]
    assert [row["name"] for row in await ask.rows(connections[0], "migration")] == [
        one.name for one in migrations.load()
    ]


async def test_who_waits_for_another_up_holds_no_snapshot(connect: Any, ask: Any, empty_database: str) -> None:
    first, second = await connect(empty_database), await connect(empty_database)
    key = f"{migrations.LOCK_CLASS}, {migrations.LOCK_KEY}"
    await first.execute(f"SELECT pg_advisory_lock({key})".encode())
    waiting = asyncio.create_task(migrations.up(second))
    state = "SELECT state || coalesce(backend_xmin::text, '') FROM pg_stat_activity WHERE pid = %s"
    seen = [await ask.value(first, state, second.info.backend_pid) for _ in range(50)]
    assert seen.count("idle") > 25
    assert not waiting.done()
    await first.execute(f"SELECT pg_advisory_unlock({key})".encode())
    assert await asyncio.wait_for(waiting, 20)


async def test_the_lock_is_given_back_also_after_a_failure(connect: Any, ask: Any, sources: Path) -> None:
    connection, other = await connect(), await connect()
    write(sources, NEXT, "SELECT 1/0;", "")
    with pytest.raises(errors.DatabaseError, match=NEXT):
        await migrations.up(connection)
    assert await ask.value(other, f"SELECT pg_try_advisory_lock({migrations.LOCK_CLASS}, {migrations.LOCK_KEY})")


async def test_a_migration_that_fails_leaves_nothing_and_is_named(connect: Any, ask: Any, sources: Path) -> None:
    connection = await connect()
    write(sources, NEXT, "CREATE TABLE belfry.half (id int); SELECT 1/0;", "")
    with pytest.raises(errors.DatabaseError, match=rf"{NEXT}: division by zero") as failed:
        await migrations.up(connection)
    assert "\n" not in str(failed.value)
    assert await ask.value(connection, "SELECT to_regclass('belfry.half') IS NULL")
    assert await ask.value(connection, "SELECT max(version) FROM belfry.migration") == LATEST.version


async def test_a_lock_that_does_not_come_is_told_and_leaves_nothing(connect: Any, ask: Any, sources: Path) -> None:
    sender, connection = await connect(), await connect()
    write(sources, NEXT, "SELECT 1;", "SET LOCAL lock_timeout = '200ms'; DROP TABLE belfry.scheduled;")
    await migrations.up(connection)
    await sender.execute("BEGIN")
    await ask.call(sender, "send", recipient="u1", kind="k", deliver_at="2999-01-01")
    with pytest.raises(errors.MigrationBusy, match=NEXT):
        await migrations.down(connection)
    await sender.execute("COMMIT")
    await migrations.check(connection)
    assert await ask.column(connection, "SELECT count(*) FROM belfry.scheduled") == [1]


async def test_an_install_by_psql_alone_is_recognised_and_signed_by_the_next_up(
    connect: Any, ask: Any, empty_database: str
) -> None:
    connection = await connect(empty_database)
    for one in migrations.load():
        async with connection.transaction():
            await connection.execute(one.up.encode())
    checksums = "SELECT checksum FROM belfry.migration ORDER BY version"
    assert await ask.column(connection, checksums) == [None] * len(LABELS)
    await migrations.check(connection)
    assert await migrations.up(connection) == []
    assert await ask.column(connection, checksums) == [one.checksum for one in migrations.load()]


# --- down --------------------------------------------------------------------------------------------------


async def test_down_reverts_the_newest_one(connect: Any, ask: Any, sources: Path) -> None:
    connection = await connect()
    write(sources, NEXT, "CREATE TABLE belfry.another (id int);", "DROP TABLE belfry.another;")
    assert [one.label for one in await migrations.up(connection)] == [NEXT]
    assert [one.label for one in await migrations.down(connection)] == [NEXT]
    assert await ask.value(connection, "SELECT to_regclass('belfry.another') IS NULL")
    assert await ask.value(connection, "SELECT max(version) FROM belfry.migration") == LATEST.version


async def test_down_with_nothing_applied_is_refused(connect: Any, empty_database: str) -> None:
    with pytest.raises(errors.MigrationMissing):
        await migrations.down(await connect(empty_database))


# --- check, status, sql ------------------------------------------------------------------------------------


async def test_check_refuses_a_database_without_the_schema(connect: Any, empty_database: str) -> None:
    with pytest.raises(errors.SchemaMissing, match="belfry migrate up"):
        await migrations.check(await connect(empty_database))


async def test_check_refuses_an_older_database_and_names_what_it_lacks(connect: Any, sources: Path) -> None:
    write(sources, NEXT, "", "")
    with pytest.raises(errors.SchemaOlder, match=NEXT):
        await migrations.check(await connect())


async def test_relays_serve_a_newer_database_unless_it_needs_newer_ones_and_up_and_down_refuse_it(
    connect: Any, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    connection = await connect()
    await connection.execute("INSERT INTO belfry.migration (version, name) VALUES (9999, 'from_the_future')")
    await migrations.check(connection)
    assert "9999_from_the_future" in caplog.text
    await connection.execute("INSERT INTO belfry.setting (name, value) VALUES ('relays_need', '9999')")
    for refuses in (migrations.check, migrations.up, migrations.down, migrations.sql):
        with pytest.raises(errors.SchemaNewer, match="9999_from_the_future"):
            await refuses(connection)
    assert await ask.value(connection, "SELECT count(*) FROM belfry.migration") == len(LABELS) + 1


async def test_a_migration_among_ours_that_we_do_not_know_is_refused(connect: Any, sources: Path) -> None:
    connection = await connect()
    write(sources, NEXT, "", "")
    await migrations.up(connection)
    await connection.execute("UPDATE belfry.migration SET version = %s, name = 'strange' WHERE version = 2", (-2,))
    with pytest.raises(errors.SchemaNewer, match="strange"):
        await migrations.check(connection)


async def test_an_edited_file_is_refused_by_name(connect: Any, sources: Path) -> None:
    connection = await connect()
    file = sources / "migrations" / f"{LATEST.label}.up.sql"
    file.write_text(file.read_text(encoding="utf-8") + "-- harmless?\n", encoding="utf-8")
    for refuses in (migrations.check, migrations.up, migrations.down, migrations.sql):
        with pytest.raises(errors.MigrationEdited, match=rf"{LATEST.label}\.up\.sql"):
            await refuses(connection)


async def test_check_status_and_sql_only_read(connect: Any) -> None:
    connection = await connect()
    await connection.execute("SET default_transaction_read_only = on")
    await migrations.check(connection)
    assert [line.state for line in await migrations.status(connection)] == ["applied"] * len(LABELS)
    assert await migrations.sql(connection) == ""


@pytest.mark.parametrize("role", ["belfry_relay", "belfry_monitor", "belfry_owner"])
async def test_check_needs_no_more_than_a_role_of_ours(connect: Any, role: str) -> None:
    connection = await connect()
    await connection.execute(f"SET ROLE {role}".encode())
    await migrations.check(connection)


async def test_check_says_which_right_is_missing(connect: Any) -> None:
    connection = await connect()
    await connection.execute("SET ROLE belfry_sender")
    with pytest.raises(errors.NotPermitted, match="belfry_relay"):
        await migrations.check(connection)


async def test_status_tells_applied_pending_edited_and_unknown(connect: Any, sources: Path) -> None:
    connection = await connect()
    await connection.execute("INSERT INTO belfry.migration (version, name) VALUES (9999, 'from_the_future')")
    await connection.execute("UPDATE belfry.migration SET checksum = 'other' WHERE version = 1")
    write(sources, NEXT, "", "")
    states = {line.label: line.state for line in await migrations.status(connection)}
    assert states[LABELS[0]] == "edited"
    assert states[NEXT] == "pending"
    assert states["9999_from_the_future"] == "unknown"


async def test_status_of_an_empty_database_is_all_pending(connect: Any, empty_database: str) -> None:
    lines = await migrations.status(await connect(empty_database))
    assert [(line.label, line.state, line.applied_at) for line in lines] == [
        (label, "pending", None) for label in LABELS
    ]


async def test_sql_prints_what_psql_can_run_as_it_is(
    connect: Any, ask: Any, database: str, empty_database: str
) -> None:
    connection = await connect(empty_database)
    await connection.execute((await migrations.sql(connection)).encode())
    assert await ask.schema(connection) == await ask.schema(await connect(database))


async def test_a_migration_that_fails_in_psql_keeps_those_behind_it_from_being_applied(
    connect: Any, ask: Any, empty_database: str
) -> None:
    connection = await connect(empty_database)
    script = await migrations.sql(connection)
    first, _, *others = script.split("\n\n-- 00")  # without 0002, as after an error; psql goes on
    await connection.execute(first.encode())
    assert len(others) == len(LABELS) - 2
    for part in others:
        with pytest.raises(psycopg.errors.RaiseException, match="was left out"):
            await connection.execute(f"-- {part}".encode())
        await connection.execute("ROLLBACK")
    assert await ask.column(connection, "SELECT version FROM belfry.migration") == [1]


async def test_what_was_left_out_is_not_applied_above_what_is_newer(connect: Any, ask: Any) -> None:
    connection = await connect()
    await connection.execute("DELETE FROM belfry.migration WHERE version = 5")
    for refuses in (migrations.up, migrations.sql):
        with pytest.raises(errors.MigrationLeftOut, match=rf"lacks {LABELS[4]}.*--steps {LATEST.version - 5}`"):
            await refuses(connection)
    assert await ask.value(connection, "SELECT count(*) FROM belfry.migration") == len(LABELS) - 1


# --- the files ---------------------------------------------------------------------------------------------


def test_a_migration_without_a_way_back_is_refused(sources: Path) -> None:
    (sources / "migrations" / f"{NEXT}.up.sql").write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(errors.MigrationMissing, match=rf"{NEXT}\.down\.sql"):
        migrations.load()


def test_a_file_that_is_no_migration_is_refused(sources: Path) -> None:
    (sources / "migrations" / "later.up.sql").write_text("SELECT 1;\n", encoding="utf-8")
    with pytest.raises(errors.MigrationMissing, match=r"later\.up\.sql"):
        migrations.load()


# --- carry -------------------------------------------------------------------------------------------------


async def carry_and_apply(connection: Any, ask: Any, name: str) -> tuple[list[str], list[str], list[str]]:
    """The schema before, after up, and after down, of a carried migration."""
    before = await ask.schema(connection)
    carry.carry(name)
    assert carry.carried(migrations.load()) == {
        file: text for file, text in carry.written(migrations.source()).items() if text.strip()
    }
    assert [one.name for one in await migrations.up(connection)] == [name]
    after = await ask.schema(connection)
    await migrations.down(connection)
    return before, after, await ask.schema(connection)


def difference(before: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """The lines that went and those that came, without the records of migrations."""
    gone = [line for line in before if line not in after and not line.startswith("migration ")]
    came = [line for line in after if line not in before and not line.startswith("migration ")]
    return gone, came


def test_nothing_changed_is_nothing_to_carry(sources: Path) -> None:
    with pytest.raises(errors.MigrationMissing):
        carry.carry("nothing")
    assert len(migrations.load()) == len(LABELS)


@pytest.mark.parametrize("name", ["", "Upper", "a b", "../a", "a__b"])
def test_a_name_that_is_none_is_refused(sources: Path, name: str) -> None:
    with pytest.raises(errors.MigrationMissing, match="is no name"):
        carry.carry(name)


async def test_a_changed_function_is_carried_and_brought_back(connect: Any, ask: Any, sources: Path) -> None:
    file = sources / "functions" / "broadcast.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("'*'", "'everyone'"), encoding="utf-8")
    before, after, back = await carry_and_apply(await connect(), ask, "everyone")
    (gone,), (came,) = difference(before, after)
    assert ("'*'" in gone, "'everyone'" in came) == (True, True)
    assert back == before


async def test_new_arguments_replace_a_function_and_make_no_overload(connect: Any, ask: Any, sources: Path) -> None:
    file = sources / "functions" / "last_position.sql"
    text = file.read_text(encoding="utf-8").replace("last_position()", "last_position(lag bigint)")
    file.write_text(text.replace("COMMENT", "COMMENT").replace("(lag bigint) IS", "(bigint) IS"), encoding="utf-8")
    before, after, back = await carry_and_apply(await connect(), ask, "lag")
    (gone,), (came,) = difference(before, after)
    assert "last_position()" in gone
    assert "last_position(lag bigint)" in came
    assert "belfry_relay=X" in came, "the grants came with it"
    assert "{=X" not in came, "PUBLIC has no right to it"
    assert back == before


async def test_a_new_and_a_removed_file_are_carried(connect: Any, ask: Any, sources: Path) -> None:
    (sources / "triggers" / "change_ring.sql").unlink()
    (sources / "functions" / "hello.sql").write_text(
        "CREATE OR REPLACE FUNCTION belfry.hello(name text) RETURNS text\n    LANGUAGE sql\nAS $$ SELECT name $$;\n"
        "COMMENT ON FUNCTION belfry.hello(text) IS\n    'Says hello.';\n",
        encoding="utf-8",
    )
    before, after, back = await carry_and_apply(await connect(), ask, "hello")
    (gone,), (came,) = difference(before, after)
    assert gone.startswith("trigger ")
    assert "FUNCTION belfry.hello" in came
    assert "{=X" not in came
    assert back == before


async def test_changed_grants_are_carried(connect: Any, ask: Any, sources: Path) -> None:
    file = sources / "grants.sql"
    text = "GRANT SELECT ON belfry.inbox TO belfry_monitor;\n"
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    before, after, back = await carry_and_apply(await connect(), ask, "see_inbox")
    _, (came,) = difference(before, after)
    assert came.startswith("relation inbox")
    assert back == before


async def test_what_carry_writes_is_squawk_clean_and_in_the_form_of_all_migrations(sources: Path) -> None:
    file = sources / "functions" / "broadcast.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("'*'", "'everyone'"), encoding="utf-8")
    up, down = carry.carry("everyone")
    for path in (up, down):
        text = path.read_text(encoding="utf-8")
        assert "SET LOCAL lock_timeout = '2s';" in text
        assert "-- Locks: " in text
        assert "functions/broadcast.sql" in text
    assert up.name == f"{LATEST.version + 1:04}_everyone.up.sql"
