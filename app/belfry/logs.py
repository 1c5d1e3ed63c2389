"""Log records: lines for people on a terminal, JSON lines otherwise; never a credential in either.

Every record has an `action` (`log.info("…", extra={"action": "relay_ready"})`): what happened, as one word to search
for. What else is given in `extra` follows it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

HIDDEN = "***"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered, which goes into its records."""

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "action", "color_message", "taskName"}

_NAMES = "(?:ticket|token|belfry_token|authorization|secret|api_key|password|passwd|sslpassword)"
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A JWT: three parts, the first a JSON object in base64url.
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"\bbf_[\w-]{16,}"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",;]+"), rf"\1 {HIDDEN}"),
    (re.compile(rf"(?i)\b({_NAMES})(\s*=\s*|:)(?!\s)(['\"]?)[^\s&'\",;}}\]]+"), rf"\1\2\3{HIDDEN}"),
    (re.compile(rf"(?i)\b({_NAMES}['\"]?\s*[=:]\s*)(['\"])(?!(?:bearer|basic)\b)[^'\"]+"), rf"\1\2{HIDDEN}"),
    (re.compile(r"(?i)\b(authorization\s*:\s*)(?!(?:bearer|basic)\b)\S+"), rf"\1{HIDDEN}"),
    # The password in a URL goes up to the last @ of the word: a careless one holds an @ itself.
    (re.compile(r"(\w://[^:/@\s]*):\S*@"), rf"\1:{HIDDEN}@"),
)


def redact(text: str) -> str:
    """The text without tokens, tickets, keys and passwords."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Lines(logging.Formatter):
    """For people: time, level, action, message, the rest as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback where there is one."""
        moment = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        trace = "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return redact(f"{moment} {record.levelname.lower():<7} {_action(record)}: {record.getMessage()}{extra}{trace}")


class JsonLines(logging.Formatter):
    """For machines: one JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object in one line."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "action": _action(record),
            "message": record.getMessage(),
            "logger": record.name,
            **_extra(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(_redacted(entry), ensure_ascii=False, default=str)


class StartFailure(logging.Filter):
    """Takes the reason out of the traceback that uvicorn logs when a start fails, and the traceback with it.

    Only a refusal of our own is taken; whatever else fails is a bug, whose traceback is wanted.
    """

    _OURS = re.compile(r"^[\s|]*belfry\.errors\.\w+: (.+)$", re.MULTILINE)

    def __init__(self) -> None:
        super().__init__()
        self.reason: str | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, unless it is the refusal or what follows it."""
        found = self._OURS.search(record.getMessage())
        if found is None:
            return self.reason is None
        self.reason = found.group(1)
        return False


def configure(level: str = "info", format: str = "auto", stream: TextIO | None = None) -> None:
    """Send all log records to a stream (stderr), as `json`, `text`, or text on a terminal, else JSON."""
    target = stream or sys.stderr
    lines = target.isatty() if format == "auto" else format == "text"
    handler = logging.StreamHandler(target)
    handler.setFormatter(Lines() if lines else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The server's access log would print query strings, and so tickets.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


def _action(record: logging.LogRecord) -> str:
    return str(getattr(record, "action", None) or record.name.rpartition(".")[2])


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    found = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    given = request_id.get()
    return found if given is None else {"request_id": given, **found}


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {str(name): _redacted(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case list() | tuple():
            return [_redacted(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
        case None | bool() | int() | float():
            return value
        case _:
            return redact(str(value))
