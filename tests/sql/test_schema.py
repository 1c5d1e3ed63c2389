"""The schema as a whole: installed by any means it is the same, it describes itself, and it goes without a trace."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from belfry import carry, errors, migrations

MIGRATIONS = sorted((migrations.source() / "migrations").glob("*.up.sql"))
ROLES = ("belfry_owner", "belfry_sender", "belfry_relay", "belfry_monitor")


def finished(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def run(*command: str) -> str:
    done = finished(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def psql(url: str, *arguments: str) -> str:
    if not shutil.which("psql"):
        pytest.skip("there is no psql here")
    return run("psql", url, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *arguments)


async def apply(connection: Any, *texts: str) -> None:
    async with connection.transaction():
        for text in texts:
            await connection.execute(text.encode())


def renamed(text: str, prefix: str) -> str:
    """A migration with roles of another name: what it does in a cluster that does not have its roles."""
    for role in ROLES:
        text = text.replace(role, role.replace("belfry", prefix))
    return text


@pytest.fixture
async def own_roles(connect: Any, empty_database: str) -> Any:
    """A prefix for roles of one test, which are dropped after it."""
    connection = await connect(empty_database)
    prefix = f"b{connection.info.backend_pid}"
    yield prefix
    await connection.execute("ROLLBACK")
    cursor = await connection.execute(f"SELECT rolname FROM pg_roles WHERE rolname LIKE '{prefix}%'".encode())
    names = ", ".join(row[0] for row in await cursor.fetchall())
    if names:
        await connection.execute(f"DROP OWNED BY {names} CASCADE".encode())
        await connection.execute(f"DROP ROLE {names}".encode())


# --- one schema, by any means ------------------------------------------------------------------------------


async def test_psql_alone_gives_the_same_schema_as_migrate_up(
    connect: Any, ask: Any, database: str, empty_database: str
) -> None:
    for file in MIGRATIONS:
        psql(empty_database, "--single-transaction", "--file", str(file))
    assert await ask.schema(await connect(empty_database)) == await ask.schema(await connect(database))


async def test_pg_dump_sees_no_difference_either(connect: Any, ask: Any, database: str, empty_database: str) -> None:
    major = await ask.value(await connect(), "SELECT current_setting('server_version_num')::int / 10000")
    if not shutil.which("pg_dump") or int(run("pg_dump", "--version").split()[2].split(".")[0]) < major:
        pytest.skip("there is no pg_dump of this version here")
    for file in MIGRATIONS:
        psql(empty_database, "--single-transaction", "--file", str(file))
    one, other = (
        [line for line in run("pg_dump", "--schema-only", url).splitlines() if not line.startswith("\\")]
        for url in (database, empty_database)
    )
    assert one == other


async def test_a_dump_restores_with_its_positions(
    connect: Any, ask: Any, database: str, empty_database: str, tmp_path: Path
) -> None:
    connection = await connect()
    major = await ask.value(connection, "SELECT current_setting('server_version_num')::int / 10000")
    if not shutil.which("pg_dump") or int(run("pg_dump", "--version").split()[2].split(".")[0]) < major:
        pytest.skip("there is no pg_dump of this version here")
    await connection.execute("SELECT belfry.send('u1', 'k'), belfry.subscribe('u1', 't')")
    file = tmp_path / "dump.sql"
    file.write_text(run("pg_dump", database), encoding="utf-8")
    psql(empty_database, "--file", str(file))
    restored = await connect(empty_database)
    assert await ask.schema(restored) == await ask.schema(connection)
    assert await ask.call(restored, "publish", topic="t", kind="k") == 3
    assert await ask.call(restored, "unsubscribe", recipient="u1", topic="t") == 4


async def test_up_down_up_gives_the_same_and_down_leaves_nothing(
    connect: Any, ask: Any, database: str, empty_database: str
) -> None:
    connection = await connect(empty_database)
    before = await ask.column(connection, "SELECT count(*) FROM pg_class")
    await migrations.up(connection)
    first = await ask.schema(connection)
    await connection.execute("SELECT belfry.send('u1', 'k'), belfry.subscribe('u1', 't')")
    await migrations.down(connection, steps=len(MIGRATIONS))
    assert await ask.value(connection, "SELECT to_regnamespace('belfry') IS NULL")
    assert await ask.column(connection, "SELECT count(*) FROM pg_class") == before
    assert await ask.value(connection, "SELECT count(*) FROM pg_roles WHERE rolname = ANY (%s)", list(ROLES)) == 4
    await migrations.up(connection)
    assert await ask.schema(connection) == first == await ask.schema(await connect(database))


def unread(schema: list[str]) -> list[str]:
    """The limits of `notification` are brought back without reading the rows again, and say so."""
    limits = "constraint belfry.notification notification_limits "
    return [line.replace(" NOT VALID", "") if line.startswith(limits) else line for line in schema]


async def test_each_down_brings_back_what_was_before_its_up(connect: Any, ask: Any, empty_database: str) -> None:
    connection = await connect(empty_database)
    all_of_them = migrations.load()
    await apply(connection, all_of_them[0].up)
    for migration in all_of_them[1:]:
        before = await ask.schema(connection)
        await apply(connection, migration.up)
        await apply(connection, migration.down)
        assert unread(await ask.schema(connection)) == unread(before)
        await apply(connection, migration.up)


def test_the_migrations_carry_the_present_text_of_every_function_trigger_and_grant() -> None:
    assert carry.carried(migrations.load()) == carry.written(migrations.source())


async def test_the_present_texts_change_nothing_in_a_migrated_database(connect: Any, ask: Any) -> None:
    connection = await connect()
    before = await ask.schema(connection)
    texts = carry.written(migrations.source())
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE belfry_owner")
        for file in sorted(texts, key=lambda file: (file == carry.GRANTS, file)):
            await connection.execute(texts[file].encode())
    assert await ask.schema(connection) == before


async def test_every_function_and_trigger_has_its_file(connect: Any, ask: Any) -> None:
    connection = await connect()
    functions = await ask.column(
        connection, "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'belfry'::regnamespace"
    )
    triggers = await ask.column(
        connection,
        "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " WHERE relnamespace = 'belfry'::regnamespace AND NOT tgisinternal",
    )
    assert {f"functions/{one}.sql" for one in functions} | {f"triggers/{one}.sql" for one in triggers} == (
        carry.written(migrations.source()).keys() - {carry.GRANTS}
    )


# --- it describes itself -----------------------------------------------------------------------------------


async def test_everything_has_a_comment(connect: Any, ask: Any) -> None:
    connection = await connect()
    silent = await ask.column(
        connection,
        """
        SELECT relname::text FROM pg_class
        WHERE relnamespace = 'belfry'::regnamespace AND relkind IN ('r', 'v', 'S')
            AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'belfry'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        UNION ALL SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
        WHERE relnamespace = 'belfry'::regnamespace AND NOT tgisinternal
            AND obj_description(pg_trigger.oid, 'pg_trigger') IS NULL
        UNION ALL SELECT nspname FROM pg_namespace
        WHERE nspname = 'belfry' AND obj_description(oid, 'pg_namespace') IS NULL
        """,
    )
    assert silent == []


async def test_every_column_that_is_not_obvious_has_a_comment(connect: Any, ask: Any) -> None:
    obvious = {
        "title",
        "body",
        "created_at",
        "name",
        "value",
        "version",
        "applied_at",
        "recipient",
        "topic",
        "only_row",
        "traits",
    }
    connection = await connect()
    silent = await ask.column(
        connection,
        "SELECT attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
        " WHERE relnamespace = 'belfry'::regnamespace AND relkind = 'r' AND attnum > 0"
        " AND col_description(attrelid, attnum) IS NULL",
    )
    assert set(silent) <= obvious


async def test_every_constraint_has_a_name_of_our_own(connect: Any, ask: Any) -> None:
    connection = await connect()
    names = await ask.column(
        connection,
        "SELECT conname FROM pg_constraint WHERE connamespace = 'belfry'::regnamespace AND contype = 'c'",
    )
    assert names
    assert [name for name in names if name.endswith(("_check", "_check1"))] == []


def test_squawk_finds_nothing_in_the_migrations() -> None:
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if not squawk:
        pytest.skip("squawk is not installed")
    config = migrations.source().parent / ".squawk.toml"
    run(squawk, "--config", str(config), *(str(file) for file in MIGRATIONS))


def test_the_files_are_plain_sql_in_one_transaction_with_a_lock_timeout() -> None:
    for file in [*MIGRATIONS, *(migrations.source() / "migrations").glob("*.down.sql")]:
        lines = file.read_text(encoding="utf-8").splitlines()
        statements = [line for line in lines if line and not line.startswith("--")]
        # Before Postgres looks for deadlocks, where senders may be in the way: so it is never they who are sent away.
        assert statements[0] in ("SET LOCAL lock_timeout = '2s';", "SET LOCAL lock_timeout = '900ms';"), file.name
        assert any("Lock" in line for line in lines[: lines.index(statements[0])]), f"{file.name} says what it locks"
        assert not [line for line in lines if line.startswith("\\") or line.upper() in ("BEGIN;", "COMMIT;")]


# --- who installs it ---------------------------------------------------------------------------------------


async def test_the_roles_are_created_where_the_cluster_has_none(
    connect: Any, ask: Any, empty_database: str, own_roles: str
) -> None:
    connection = await connect(empty_database)
    await apply(connection, renamed(MIGRATIONS[0].read_text(encoding="utf-8"), own_roles))
    assert await ask.value(
        connection,
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE %s AND NOT rolcanlogin AND NOT rolsuper",
        f"{own_roles}%",
    ) == len(ROLES)
    assert await ask.value(connection, f"SELECT pg_has_role('{own_roles}_relay', '{own_roles}_sender', 'MEMBER')")
    await connection.execute(f"SET ROLE {own_roles}_sender".encode())
    assert await ask.call(connection, "send", recipient="u1", kind="k") == 1


async def test_a_login_that_may_create_roles_and_schemas_installs_it(
    connect: Any, ask: Any, empty_database: str, own_roles: str
) -> None:
    connection = await connect(empty_database)
    await connection.execute(f"CREATE ROLE {own_roles}_dba LOGIN CREATEROLE".encode())
    await connection.execute(f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {own_roles}_dba".encode())
    await connection.execute(f"SET SESSION AUTHORIZATION {own_roles}_dba".encode())
    migration = migrations.load()[0]
    await apply(connection, renamed(migration.up, own_roles))
    assert await ask.value(connection, "SELECT current_user") == f"{own_roles}_dba"
    await apply(connection, renamed(migration.down, own_roles))
    await apply(connection, renamed(migration.up, own_roles))
    await connection.execute("RESET SESSION AUTHORIZATION")
    assert await ask.value(connection, "SELECT applied_by FROM belfry.migration") == f"{own_roles}_dba"
    assert (await ask.rows(connection, "epoch"))[0]["system_identifier"]


@pytest.mark.parametrize(
    ("rights", "names", "hint"),
    [
        ("", "may not create a schema", "GRANT CREATE ON DATABASE"),
        ("GRANT CREATE ON DATABASE {database} TO {dba}", "may not create the roles", "CREATE ROLE {owner} NOLOGIN"),
        (
            "GRANT CREATE ON DATABASE {database} TO {dba}; CREATE ROLE {owner}; CREATE ROLE {sender};"
            " CREATE ROLE {relay}; CREATE ROLE {monitor}",
            "may not grant the roles",
            "GRANT {owner} TO {dba}",
        ),
    ],
    ids=["no CREATE", "no CREATEROLE", "no membership"],
)
async def test_a_missing_right_is_one_line_that_says_what_a_dba_must_run(
    connect: Any, ask: Any, empty_database: str, own_roles: str, rights: str, names: str, hint: str
) -> None:
    connection = await connect(empty_database)
    words = {role.removeprefix("belfry_"): role.replace("belfry", own_roles) for role in ROLES}
    words |= {"dba": f"{own_roles}_dba", "database": connection.info.dbname}
    await connection.execute(f"CREATE ROLE {own_roles}_dba LOGIN".encode())
    await connection.execute(rights.format(**words).encode())
    await connection.execute(f"SET SESSION AUTHORIZATION {own_roles}_dba".encode())
    up = renamed(MIGRATIONS[0].read_text(encoding="utf-8"), own_roles)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=names) as refused:
        await apply(connection, up)
    advice = refused.value.diag.message_hint or ""
    assert hint.format(**words) in advice
    await connection.execute("RESET SESSION AUTHORIZATION")
    assert await ask.value(connection, "SELECT to_regnamespace('belfry') IS NULL")

    # What it says to do is enough.
    if names != "may not create a schema":
        await connection.execute(advice.removeprefix("A DBA must run: ").encode())
        await connection.execute(f"SET SESSION AUTHORIZATION {own_roles}_dba".encode())
        await apply(connection, up)
        await connection.execute("RESET SESSION AUTHORIZATION")


async def test_two_databases_of_a_cluster_install_it_at_once(
    connect: Any, ask: Any, database: str, empty_database: str, own_roles: str
) -> None:
    up = renamed(MIGRATIONS[0].read_text(encoding="utf-8"), own_roles)
    one, other = await connect(database), await connect(empty_database)
    await migrations.down(one, steps=len(MIGRATIONS))
    try:
        await asyncio.gather(apply(one, up), apply(other, up))
        for connection in (one, other):
            assert await ask.call(connection, "send", recipient="u1", kind="k") == 1
    finally:
        await apply(one, renamed(migrations.load()[0].down, own_roles))


async def test_without_a_transaction_it_refuses_and_leaves_nothing(connect: Any, ask: Any, empty_database: str) -> None:
    if not shutil.which("psql"):
        pytest.skip("there is no psql here")
    done = finished("psql", empty_database, "--no-psqlrc", "--file", str(MIGRATIONS[0]))
    assert "must run in one transaction" in done.stderr
    assert "--single-transaction" in done.stderr
    assert await ask.value(await connect(empty_database), "SELECT to_regnamespace('belfry') IS NULL")


async def test_a_missing_right_is_told_by_migrate_up_in_one_line(
    connect: Any, empty_database: str, own_roles: str
) -> None:
    connection = await connect(empty_database)
    await connection.execute(f"CREATE ROLE {own_roles}_dba LOGIN".encode())
    await connection.execute(f"SET SESSION AUTHORIZATION {own_roles}_dba".encode())
    with pytest.raises(errors.NotPermitted, match="A DBA must run: GRANT CREATE ON DATABASE") as refused:
        await migrations.up(connection)
    assert "\n" not in str(refused.value)
    await connection.execute("RESET SESSION AUTHORIZATION")
