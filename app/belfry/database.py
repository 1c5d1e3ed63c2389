"""Pools and connections to Postgres, with the driver's errors told in one line that says what to do."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from belfry import errors

Pool = AsyncConnectionPool[Any]

CONNECT_SECONDS = 5

_SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "options": "-c timezone=UTC -c client_min_messages=warning",
    "connect_timeout": CONNECT_SECONDS,
    # A link that is cut without a word is found in seconds, not in the two hours of the system's default.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 6000,
}
_BY_STATE: dict[str, type[errors.DatabaseError]] = {
    "28P01": errors.WrongPassword,
    "28000": errors.WrongPassword,
    "3D000": errors.DatabaseMissing,
    "42501": errors.NotPermitted,
}


async def open_pool(url: str, *, application_name: str, min_size: int, max_size: int) -> Pool:
    """A pool whose first connection stands.

    A failed attempt to reconnect is given up at once (`reconnect_timeout=0`) and made anew by whoever asks next: so
    the pool is back within about a second of the server, where its own back-off would double to minutes.
    Raises DatabaseUnavailable, WrongPassword, DatabaseMissing.
    """
    connection = await direct_connection(url, application_name=application_name)
    await connection.close()
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=min_size,
        max_size=max_size,
        open=False,
        name=application_name,
        reconnect_timeout=0,
        kwargs={**_SETTINGS, "application_name": application_name},
    )
    with translated():
        await pool.open(wait=True, timeout=CONNECT_SECONDS * 2)
    return pool


async def direct_connection(url: str, *, application_name: str) -> psycopg.AsyncConnection[Any]:
    """One autocommit connection. Raises DatabaseUnavailable, WrongPassword, DatabaseMissing."""
    with translated():
        return await psycopg.AsyncConnection.connect(url, application_name=application_name, **_SETTINGS)


@contextmanager
def translated() -> Generator[None]:
    """Raise the driver's errors of connecting as our own; the driver's is their cause."""
    try:
        yield
    except (TimeoutError, psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        raise _told(error) from error
    except psycopg.ProgrammingError as error:  # libpq could not read the URL; its words may hold the password
        raise errors.DatabaseUnavailable("the database URL cannot be read: check BELFRY_DATABASE_URL") from error


def _told(error: BaseException) -> errors.DatabaseError:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    text = str(error)
    kind = _BY_STATE.get(state or "")
    if (kind is None and "password authentication failed" in text) or "no password supplied" in text:
        kind = errors.WrongPassword
    if kind is None and "does not exist" in text and "database" in text:
        kind = errors.DatabaseMissing
    return (kind or errors.DatabaseUnavailable)()
