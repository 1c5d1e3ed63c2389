"""The settings: one table, from which the environment, `.env`, the flags, the help and the documentation derive."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from belfry import errors

PREFIX = "BELFRY_"
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "json", "text")
MIN_SECRET_BYTES = 32

N = TypeVar("N", int, float)


# --- how a setting is read ---------------------------------------------------------------------------------


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value.strip()


_AUTHORITY = re.compile(r"([^@]*@)?(\[[^]]*\]|[^][:@]*)(:\d*)?(,(\[[^]]*\]|[^][:@]*)(:\d*)?)*")


def _database_url(value: str) -> str:
    """What would make libpq take a part of the password for the host or the port, and Postgres tell it, is refused."""
    url = _text(value)
    if re.match(r"\w+\s*=", url):
        return url
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise ValueError("is not a Postgres URL such as postgresql://user:password@host:5432/name")
    authority, path = re.split(r"(?=[/?#])|$", rest, maxsplit=1)
    if not _AUTHORITY.fullmatch(authority) or "@" in path.partition("?")[0]:
        raise ValueError("cannot be read: in a user or password write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23")
    return url


def _secret(value: str) -> str:
    if "-----BEGIN" in value or value.startswith("ssh-"):
        raise ValueError("is a key pair's half; give a public key with BELFRY_PUBLIC_KEY_FILE")
    if len(value.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"is shorter than {MIN_SECRET_BYTES} bytes; make one with `openssl rand -hex 32`")
    return value


def _file(value: str) -> Path:
    path = Path(_text(value)).expanduser()
    if not path.is_file():
        raise ValueError(f"names a file that is not there: {path}")
    return path


def _flag(value: str) -> bool:
    match value.strip().lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "" | "0" | "false" | "no" | "off":
            return False
        case other:
            raise ValueError(f"must be true or false, not {other!r}")


def _whole(low: int, high: int) -> Callable[[str], int]:
    return _within(int, "a whole number", low, high)


def _seconds(low: float, high: float) -> Callable[[str], float]:
    return _within(float, "a number of seconds", low, high)


def _within(kind: Callable[[str], N], what: str, low: N, high: N) -> Callable[[str], N]:
    """Reads a number from `low` to `high`, which are shown as they are written here."""

    def parse(value: str) -> N:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(f"must be {what}, not {value!r}") from None
        if not low <= number <= high:
            raise ValueError(f"must be {what} between {low} and {high}, not {value.strip()}")
        return number

    return parse


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query or "*" in origin:
            raise ValueError(f"must list origins such as https://app.example.com, not {origin!r}")
    return origins


def _one_of(*choices: str) -> Callable[[str], str]:
    """Reads one of a few words."""

    def parse(value: str) -> str:
        if value.strip().lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return value.strip().lower()

    return parse


# --- the table ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as people see it."""

    name: str
    help: str
    parse: Callable[[str], Any]
    default: Any
    hidden: bool  # its value is a secret, or a URL that may hold one

    @property
    def variable(self) -> str:
        """Its name in the environment and in `.env`."""
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def default_text(self) -> str:
        """Its default as a person would write it."""
        match self.default:
            case None | ():
                return "none"
            case bool():
                return str(self.default).lower()
            case float():
                return f"{self.default:g}"
            case _:
                return str(self.default)


def _setting(default: Any, parse: Callable[[str], Any], help: str, *, hidden: bool = False) -> Any:
    return field(default=default, repr=not hidden, metadata={"parse": parse, "help": help, "hidden": hidden})


@dataclass(frozen=True, slots=True)
class Config:
    """What one Belfry process was told. Its repr hides secrets and URLs."""

    database_url: str | None = _setting(
        None, _database_url, "the Postgres to use; with --dev and none, an embedded one under .belfry/", hidden=True
    )
    direct_url: str | None = _setting(
        None, _database_url, "the same Postgres without a pooler between, where the other URL is one", hidden=True
    )
    secret: str | None = _setting(None, _secret, "signs and checks tokens (HS256), 32 bytes or more", hidden=True)
    previous_secret: str | None = _setting(
        None, _secret, "the secret before this one: its tokens are still accepted", hidden=True
    )
    public_key_file: Path | None = _setting(  # noqa: RUF009 - a field(), not a shared default
        None, _file, "PEM file of one or more public keys for RS256, ES256 or EdDSA tokens"
    )
    jwks_file: Path | None = _setting(  # noqa: RUF009
        None, _file, "JWKS file of public keys for RS256, ES256 or EdDSA tokens"
    )
    token_issuer: str | None = _setting(None, _text, "what `iss` of a token must be; without it, anything or nothing")
    token_audience: str | None = _setting(
        None, _text, "what `aud` of a token must name; without it, anything or nothing"
    )
    host: str = _setting("127.0.0.1", _text, "address to listen on")
    port: int = _setting(8080, _whole(0, 65535), "port to listen on (0: any free one)")
    metrics_port: int | None = _setting(
        None,
        _whole(1, 65_535),
        "port of its own for /live, /ready and /metrics, which leaves the public port; worker k has it plus k - 1",
    )
    workers: int = _setting(1, _whole(1, 256), "processes, each with a relay of its own")
    dev: bool = _setting(False, _flag, "development mode: embedded Postgres, a secret, the demo page")
    cors_origins: tuple[str, ...] = _setting(
        (), _origins, "origins whose pages may call, separated by commas, such as https://app.example.com"
    )
    heartbeat_seconds: float = _setting(15.0, _seconds(0.1, 3600), "pause between two heartbeats of a stream")
    max_streams: int = _setting(20_000, _whole(1, 10_000_000), "streams that one worker holds")
    max_streams_per_recipient: int = _setting(
        32, _whole(1, 100_000), "streams of one recipient on one worker; the oldest gives way"
    )
    max_stream_age_seconds: float = _setting(
        3600.0, _seconds(1, 604_800), "age at which a stream is asked to connect anew"
    )
    ticket_seconds: float = _setting(
        3600.0, _seconds(1, 604_800), "how long a ticket of POST /v1/tickets is good; never longer than its token"
    )
    key_requests_per_minute: int = _setting(
        6000, _whole(0, 100_000_000), "requests that one worker takes of an API key in a minute; 0: without limit"
    )
    recipient_requests_per_minute: int = _setting(
        600, _whole(0, 100_000_000), "the same of a recipient, streams not counted; 0: without limit"
    )
    retry_milliseconds: int = _setting(
        2000, _whole(1, 3_600_000), "pause that clients are told to make before they reconnect (jittered)"
    )
    stream_buffer_bytes: int = _setting(
        262_144, _whole(1024, 1 << 30), "what may wait for one slow reader before it is cut off"
    )
    recent_rows: int = _setting(10_000, _whole(0, 10_000_000), "rows kept in memory for clients that come back")
    recent_bytes: int = _setting(33_554_432, _whole(0, 1 << 40), "bytes kept in memory for clients that come back")
    page_rows: int = _setting(
        500, _whole(1, 100_000), "rows that one query reads at most; four times as many where it leaves contents out"
    )
    tick_seconds: float = _setting(1.0, _seconds(0.01, 60), "safety tick: the table is read at least this often")
    drain_seconds: float = _setting(1.0, _seconds(0, 600), "time that streams get to end at a stop")
    retention_days: int | None = _setting(
        None, _whole(1, 36_500), "notifications older than this many days are removed by the relays; none: all is kept"
    )
    log_level: str = _setting("info", _one_of(*LOG_LEVELS), "debug, info, warning or error")
    log_format: str = _setting("auto", _one_of(*LOG_FORMATS), "json, text, or auto: text on a terminal, else JSON")
    reuse_port: bool = _setting(
        False, _flag, "let several processes share the port (SO_REUSEPORT); set by --workers itself"
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, serving: bool = False, **flags: Any) -> Config:
        """Read flags, then the environment, then defaults. A flag that is None was not given.

        Raises ConfigError with every fault at once; for `serving` a key and a database that are missing are faults.
        A flag is a text or already the right type.
        """
        values: dict[str, Any] = {}
        faults = [f"unknown setting {name}" for name in flags.keys() - SETTINGS.keys()]
        faulty: set[str] = set()
        for setting in SETTINGS.values():
            given, source = _given(setting, environ, flags)
            if given is None:
                continue
            try:
                values[setting.name] = setting.parse(given) if isinstance(given, str) else given
            except ValueError as fault:
                faults.append(f"{source} {fault}")
                faulty.add(setting.name)
        config = cls(**values)
        faults += config._clashes()
        lacking = config._lacking(faulty) if serving else []
        if faults or lacking:
            kind = errors.ConfigError if faults else type(lacking[0])
            raise kind("; ".join([*faults, *(each.message.rstrip(".") for each in lacking)]))
        return config

    def _lacking(self, faulty: set[str]) -> list[errors.ConfigError]:
        """What a server cannot do without; what was given and is faulty is not missing."""
        found: list[errors.ConfigError] = []
        if self.dev:
            return found
        if not (self.keyed or faulty & {"secret", "public_key_file", "jwks_file"}):
            found.append(errors.SecretMissing())
        if self.database_url is None and "database_url" not in faulty:
            found.append(errors.DatabaseUrlMissing())
        return found

    def _clashes(self) -> list[str]:
        """What is wrong with settings that are right each by itself."""
        if self.metrics_port is None:
            return []
        last = self.metrics_port + self.workers - 1
        if last > 65_535:
            return [f"BELFRY_METRICS_PORT of the last of {self.workers} workers would be {last}: choose a lower one"]
        if self.metrics_port <= self.port <= last:
            return [f"BELFRY_PORT is {self.port}, which BELFRY_METRICS_PORT takes for a worker: choose another"]
        return []

    def replace(self, **changes: Any) -> Config:
        """This configuration with some settings changed."""
        return dataclasses.replace(self, **changes)

    @property
    def keyed(self) -> bool:
        """Whether there is something to check a token with."""
        return bool(self.secret or self.public_key_file or self.jwks_file)

    def require_key(self) -> None:
        """Raise SecretMissing when there is nothing to check a token with."""
        if not self.keyed:
            raise errors.SecretMissing()

    @property
    def listen_url(self) -> str | None:
        """The URL for LISTEN, bell and poll."""
        return self.direct_url or self.database_url


def _given(setting: Setting, environ: Mapping[str, str], flags: Mapping[str, Any]) -> tuple[Any, str]:
    if flags.get(setting.name) is not None:
        return flags[setting.name], setting.flag
    value = environ.get(setting.variable)
    # An empty variable is how shells and container files say "not set".
    return (value if value and value.strip() else None), setting.variable


_FOREIGN = re.compile(r"\w*?(?:SERVICE_(?:HOST|PORT)|PORT_\d+_(?:TCP|UDP))|(?:TEST|BENCH)_")
"""Kubernetes' variables for services whose names begin with ours, and those of our tests."""


def unknown(environ: Mapping[str, str]) -> list[str]:
    """The variables that look like settings and are none: mistyped, most likely."""
    named = {name for name in environ if name.startswith(PREFIX)}
    known = {setting.variable for setting in SETTINGS.values()}
    return sorted(name for name in named - known if not _FOREIGN.match(name.removeprefix(PREFIX)))


SETTINGS: dict[str, Setting] = {
    f.name: Setting(f.name, f.metadata["help"], f.metadata["parse"], f.default, f.metadata["hidden"])
    for f in dataclasses.fields(Config)
}
"""Every setting by name, in the order of the help."""
