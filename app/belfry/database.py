"""Pools and connections to Postgres, with the driver's errors told in one line that says what to do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from belfry import errors

Connection = psycopg.AsyncConnection[Any]
Pool = AsyncConnectionPool[Any]
T = TypeVar("T")

CONNECT_SECONDS = 5
POOL_SECONDS = 10
RETRY_SECONDS = 0.25
ANEW = 2

_SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_SECONDS,
    # A link that is cut without a word is found in seconds, not in the two hours of the system's default.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}
# jit: the poll beside many gaps looks dear to the planner, and compiling it takes a second each time.
# The others: a database may have defaults of its own, which nothing here is written for.
_DIRECT: dict[str, Any] = {
    "options": "-c timezone=UTC -c datestyle=ISO -c client_min_messages=warning -c jit=off"
    r" -c default_transaction_isolation=read\ committed"
}
_POOLED: dict[str, Any] = {"prepare_threshold": None}
"""A pooler refuses `options`, and in transaction mode gives each transaction another session's prepared statements."""

# libpq tells the SQLSTATE of a refused connection to nobody, only the server's words (English unless lc_messages says
# otherwise; then the words themselves are passed on).
_BY_WORDS: tuple[tuple[str, type[errors.DatabaseError]], ...] = (
    (r"password authentication failed|no password supplied|pg_hba\.conf", errors.WrongPassword),
    (r'role ".*" (does not exist|is not permitted to log in)', errors.WrongPassword),
    (r'database ".*" does not exist', errors.DatabaseMissing),
    (r"too many (clients|connections)|remaining connection slots", errors.TooManyConnections),
    (r"permission denied for database", errors.NotPermitted),
    (r"unsupported startup parameter", errors.PoolerInTheWay),
)


async def open_pool(url: str, *, application_name: str, min_size: int, max_size: int, pooled: bool = False) -> Pool:
    """A pool whose first connection stands, and which is back within a second of a server that was away.

    `pooled`: the URL may lead to a pooler.

    The pool's own back-off doubles from one second without a limit that could be set, so it is not used: a failed
    attempt is given up at once (`reconnect_timeout=0`), and made anew while somebody waits.
    Raises DatabaseUnavailable, WrongPassword, DatabaseMissing, TooManyConnections, PoolerInTheWay.
    """
    connection = await connect(url, application_name=application_name, pooled=pooled)
    await connection.close()
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=min_size,
        max_size=max_size,
        open=False,
        name=application_name,
        timeout=POOL_SECONDS,
        reconnect_timeout=0,
        reconnect_failed=_try_again,
        kwargs={**_SETTINGS, **(_POOLED if pooled else _DIRECT), "application_name": application_name},
    )
    with translated():
        await pool.open(wait=True, timeout=POOL_SECONDS)
    return pool


async def _try_again(pool: Pool) -> None:
    """Ask on behalf of those who wait: after an attempt was given up the pool makes none until somebody asks."""
    await asyncio.sleep(RETRY_SECONDS)
    if pool.get_stats().get("requests_waiting"):
        with suppress(PoolTimeout, PoolClosed):
            await pool.putconn(await pool.getconn(timeout=RETRY_SECONDS))


async def transacted(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Do the work in a transaction, and a few times anew where Postgres ends it because another is in its way."""
    for _ in range(ANEW):
        with suppress(psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
            return await _once(pool, work)
    return await _once(pool, work)


async def _once(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    async with pool.connection() as connection, connection.transaction():
        return await work(connection)


async def connect(url: str, *, application_name: str, pooled: bool = False) -> psycopg.AsyncConnection[Any]:
    """One autocommit connection. Raises the same as `open_pool`."""
    with translated():
        return await psycopg.AsyncConnection.connect(
            url, application_name=application_name, **_SETTINGS, **(_POOLED if pooled else _DIRECT)
        )


@contextmanager
def translated() -> Generator[None]:
    """Raise the driver's errors of connecting as our own; the driver's is their cause."""
    try:
        with reached():
            yield
    except psycopg.ProgrammingError as error:  # libpq could not read the URL; its words may hold the password
        raise errors.DatabaseUnavailable("the database URL cannot be read: check BELFRY_DATABASE_URL") from error


@contextmanager
def reached() -> Generator[None]:
    """Raise a refusal by the server, or its loss, as our own; the driver's error is the cause."""
    try:
        yield
    except (TimeoutError, psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        raise _told(error) from error


def _told(error: BaseException) -> errors.DatabaseError:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return errors.NotPermitted()
    lines = str(error).splitlines() or [""]
    words = lines[0].rpartition(" failed: ")[2].removeprefix("FATAL:").strip()
    for pattern, kind in _BY_WORDS:
        if re.search(pattern, words):
            return kind()
    return errors.DatabaseUnavailable(
        f"Postgres does not answer ({words or type(error).__name__}): check that it runs and that BELFRY_DATABASE_URL "
        f"names its host and port."
    )
