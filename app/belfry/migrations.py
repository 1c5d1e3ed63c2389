"""The schema: apply, revert, compare and write the files of sql/migrations.

The files are plain SQL that psql runs as well; each records itself in belfry.migration, and what is added here is an
advisory lock, one transaction a file, and checksums.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row

from belfry import errors

log = logging.getLogger(__name__)

Connection = psycopg.AsyncConnection[Any]
State = Literal["applied", "pending", "edited", "unknown"]

LOCK_CLASS = 1111837766
LOCK_KEY = 2
LOCK_WAIT_SECONDS = 120
LOCK_POLL_SECONDS = 0.1

_FILE = re.compile(r"(?P<version>\d{4,})_(?P<name>\w+)\.up\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, its name, the text of both files, and the SHA-256 of the first."""

    version: int
    name: str
    up: str
    down: str
    checksum: str

    @property
    def label(self) -> str:
        """The name of its files, without the ending."""
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of belfry.migration. The checksum is None after an install by psql, until the next `up`."""

    version: int
    name: str
    checksum: str | None
    applied_at: datetime
    applied_by: str

    def is_of(self, migration: Migration) -> bool:
        """Whether what was applied is what the file says now."""
        return self.name == migration.name and self.checksum in (None, migration.checksum)


@dataclass(frozen=True, slots=True)
class Status:
    """A line of `belfry migrate status`; `unknown` is applied, and no file of this Belfry."""

    label: str
    state: State
    applied_at: datetime | None


def source() -> Path:
    """The directory sql/: inside the wheel, else beside app/ in the source tree."""
    inside = Path(__file__).parent / "sql"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "sql"


def load(directory: Path | None = None) -> list[Migration]:
    """All migrations in order. Raises MigrationMissing when one has no way back."""
    found: list[Migration] = []
    for path in sorted(((directory or source()) / "migrations").glob("*.up.sql")):
        named = _FILE.fullmatch(path.name)
        if not named:
            raise errors.MigrationMissing(f"{path.name} is no name of a migration: call it 0002_what_it_does.up.sql")
        down = path.with_name(path.name.replace(".up.sql", ".down.sql"))
        if not down.exists():
            raise errors.MigrationMissing(f"{path.name} has no way back: write {down.name}")
        up = path.read_text(encoding="utf-8")
        found.append(
            Migration(
                version=int(named["version"]),
                name=named["name"],
                up=up,
                down=down.read_text(encoding="utf-8"),
                checksum=hashlib.sha256(up.encode()).hexdigest(),
            )
        )
    return found


async def up(connection: Connection) -> list[Migration]:
    """Apply what is missing and return it. Takes an autocommit connection of its own.

    Raises SchemaNewer, MigrationEdited, MigrationLeftOut, MigrationBusy, NotPermitted.
    """
    done: list[Migration] = []
    async with _locked(connection):
        applied = await _applied(connection)
        migrations = _known(load(), applied)
        _require_order(migrations, applied)
        for migration in migrations:
            if migration.version in applied:
                if applied[migration.version].checksum is None:
                    async with connection.transaction():
                        await _sign(connection, migration)
                continue
            async with _explained(migration), connection.transaction():
                await connection.execute(migration.up.encode())
                await _sign(connection, migration)
            done.append(migration)
    return done


async def down(connection: Connection, steps: int = 1) -> list[Migration]:
    """Revert the newest `steps` migrations, with the data that only they hold, and return them.

    Raises MigrationMissing when there is none, SchemaNewer, MigrationEdited, MigrationBusy, NotPermitted.
    """
    async with _locked(connection):
        applied = await _applied(connection)
        newest = [one for one in reversed(_known(load(), applied)) if one.version in applied][:steps]
        if not newest:
            raise errors.MigrationMissing("nothing is applied: there is no migration to revert")
        for migration in newest:
            async with _explained(migration), connection.transaction():
                await connection.execute(migration.down.encode())
    return newest


async def status(connection: Connection) -> list[Status]:
    """What is applied, pending, edited since, or unknown to this Belfry. Only reads."""
    applied = await _applied(connection)
    lines: dict[int, Status] = {
        row.version: Status(f"{row.version:04}_{row.name}", "unknown", row.applied_at) for row in applied.values()
    }
    for migration in load():
        row = applied.get(migration.version)
        state: State = "pending" if row is None else "applied" if row.is_of(migration) else "edited"
        lines[migration.version] = Status(migration.label, state, row and row.applied_at)
    return [lines[version] for version in sorted(lines)]


async def sql(connection: Connection) -> str:
    """What `up` would run, as a script for psql; empty when nothing is missing. Only reads.

    psql goes on after an error, so each migration in it asks whether the one before is there.
    Raises SchemaNewer, MigrationEdited, MigrationLeftOut, NotPermitted.
    """
    applied = await _applied(connection)
    migrations = _known(load(), applied)
    _require_order(migrations, applied)
    return "\n".join(
        f"-- {one.label}.up.sql\nBEGIN;\n{_guard(one, after) if after else ''}{one.up}COMMIT;\n"
        for after, one in pairwise((None, *migrations))
        if one and one.version not in applied
    )


_GUARD = """\
SET LOCAL ROLE belfry_owner;
DO $guard$ BEGIN
    IF NOT EXISTS (SELECT FROM belfry.migration WHERE version = {version}) THEN
        RAISE EXCEPTION '{label} was left out: {after} is not applied'
            USING HINT = 'See why it failed, and run the script that `belfry migrate sql` prints then.';
    END IF;
END $guard$;
SET LOCAL ROLE NONE;
"""


def _guard(one: Migration, after: Migration) -> str:
    return _GUARD.format(version=after.version, label=one.label, after=after.label)


async def check(connection: Connection) -> None:
    """Whether this code may serve this database. Only reads.

    Migrations come before the relays that need them, and those of the release before go on: what is newer than this
    code is no reason to stay away, unless it says so (`relays_need` in belfry.setting).

    Raises SchemaMissing, SchemaOlder, SchemaNewer, MigrationEdited, NotPermitted.
    """
    applied = await _applied(connection)
    if not applied:
        raise errors.SchemaMissing
    migrations = load()
    newer = {version: row for version, row in applied.items() if version > migrations[-1].version}
    if newer:
        names = ", ".join(f"{version:04}_{row.name}" for version, row in sorted(newer.items()))
        if await _relays_need(connection) > migrations[-1].version:
            raise errors.SchemaNewer(
                f"The database has {names}, with which this Belfry cannot work: install the newer one."
            )
        log.warning("the database has %s, newer than this Belfry", names, extra={"action": "schema_newer"})
    known = _known(migrations, {version: row for version, row in applied.items() if version not in newer})
    missing = [one.label for one in known if one.version not in applied]
    if missing:
        raise errors.SchemaOlder(f"The database lacks {', '.join(missing)}: run `belfry migrate up`.")


async def _relays_need(connection: Connection) -> int:
    """The oldest newest migration of a relay that may serve: what takes something away says so in belfry.setting."""
    cursor = await connection.execute("SELECT value::integer FROM belfry.setting WHERE name = 'relays_need'")
    return (await cursor.fetchone() or [0])[0]


async def _applied(connection: Connection) -> dict[int, Applied]:
    try:
        exists = await connection.execute("SELECT to_regclass('belfry.migration') IS NOT NULL")
        if not (await exists.fetchone() or [False])[0]:
            return {}
        async with connection.cursor(row_factory=class_row(Applied)) as cursor:
            await cursor.execute("SELECT version, name, checksum, applied_at, applied_by FROM belfry.migration")
            return {row.version: row async for row in cursor}
    except psycopg.errors.InsufficientPrivilege as error:
        raise errors.NotPermitted(
            "This login may not read belfry.migration: grant it belfry_relay, or belfry_owner to migrate."
        ) from error


def _known(migrations: list[Migration], applied: dict[int, Applied]) -> list[Migration]:
    """The migrations, once none of the applied ones is unknown or edited."""
    files = {one.version: one for one in migrations}
    for version, row in sorted(applied.items()):
        if version not in files:
            raise errors.SchemaNewer(
                f"The database has migration {version:04}_{row.name}, which this Belfry does not know: install the "
                "newer version of Belfry."
            )
        if not row.is_of(files[version]):
            raise errors.MigrationEdited(
                f"{files[version].label}.up.sql was edited after it had been applied: restore the file, and put the "
                "change into a new one."
            )
    return migrations


def _require_order(migrations: Iterable[Migration], applied: Iterable[int]) -> None:
    """Refuse what would put the text of an older migration over that of a newer one."""
    newest = max(applied, default=0)
    left_out = [one for one in migrations if one.version < newest and one.version not in applied]
    if left_out:
        first = left_out[0]
        raise errors.MigrationLeftOut(
            f"The database lacks {first.label} and has {newest:04}, which comes after it: revert what came after it, "
            f"with its data (`belfry migrate down --steps {newest - first.version}`), then run `belfry migrate up`."
        )


@asynccontextmanager
async def _locked(connection: Connection) -> AsyncGenerator[None]:
    """Hold the migrations' lock.

    It is asked for again and again rather than waited for: a waiting statement holds a snapshot, for which a CREATE
    INDEX CONCURRENTLY of the one who has the lock would wait in turn.
    """
    key = (LOCK_CLASS, LOCK_KEY)
    for _ in range(int(LOCK_WAIT_SECONDS / LOCK_POLL_SECONDS)):
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
        if (await cursor.fetchone() or [False])[0]:
            break
        await asyncio.sleep(LOCK_POLL_SECONDS)
    else:
        raise errors.MigrationBusy("Another `belfry migrate` is running on this database: try again when it is done.")
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)


async def _sign(connection: Connection, migration: Migration) -> None:
    """Record the checksum of a migration that has recorded itself, as the owner of that table."""
    await connection.execute("SET LOCAL ROLE belfry_owner")
    await connection.execute(
        "UPDATE belfry.migration SET checksum = %s WHERE version = %s", (migration.checksum, migration.version)
    )
    await connection.execute("SET LOCAL ROLE NONE")


@asynccontextmanager
async def _explained(migration: Migration) -> AsyncGenerator[None]:
    """Tell what Postgres refused in one line: the file, the message, the hint."""
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise errors.MigrationBusy(
            f"{migration.label} waited too long for a lock: try again when open transactions have ended."
        ) from error
    except psycopg.Error as error:
        kind = errors.NotPermitted if isinstance(error, psycopg.errors.InsufficientPrivilege) else errors.DatabaseError
        said: Iterable[str | None] = (error.diag.message_primary or str(error), error.diag.message_hint)
        raise kind(f"{migration.label}: {'. '.join(part for part in said if part)}") from error
