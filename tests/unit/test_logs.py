"""Log lines: an action in each, and a credential in none."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from belfry import auth, logs
from belfry.config import Config

TOKEN = auth.mint(Config(secret="a-secret-of-more-than-thirty-two-bytes"), "u1", 60)
KEY = auth.make_key()


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = False
    logging.getLogger("uvicorn").setLevel(logging.NOTSET)
    logging.getLogger("uvicorn.error").filters[:] = []


def written(*, human: bool, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, "text" if human else "json", stream)
    return stream


def test_without_a_terminal_each_record_is_one_json_object_with_its_action() -> None:
    stream = written(human=False)
    logging.getLogger("belfry.relay").info("ready with %d", 3, extra={"action": "relay_ready", "streams": 3})
    entry = json.loads(stream.getvalue())
    assert entry["action"] == "relay_ready"
    assert entry["message"] == "ready with 3"
    assert entry["level"] == "info"
    assert entry["streams"] == 3
    assert entry["time"].endswith("+00:00")


def test_on_a_terminal_it_is_a_line_for_people() -> None:
    stream = written(human=True)
    logging.getLogger("belfry.relay").warning("gone", extra={"action": "relay_lost", "streams": 3})
    assert stream.getvalue().rstrip().endswith("warning relay_lost: gone streams=3")


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "format", "is_json"),
    [
        (Terminal(), "auto", False), (io.StringIO(), "auto", True),
        (Terminal(), "json", True), (io.StringIO(), "text", False),
    ],
)  # fmt: skip
def test_the_form_is_chosen_or_follows_the_terminal(stream: io.StringIO, format: str, is_json: bool) -> None:
    logs.configure("info", format, stream)
    logging.getLogger("belfry").info("said")
    assert stream.getvalue().startswith("{") == is_json


def test_a_record_of_somebody_else_gets_an_action_too() -> None:
    stream = written(human=False)
    logging.getLogger("asyncio").warning("slow")
    assert json.loads(stream.getvalue())["action"] == "asyncio"


def test_a_message_over_several_lines_stays_one_line_of_json() -> None:
    stream = written(human=False)
    try:
        raise ValueError("a\nb")
    except ValueError:
        logging.getLogger("belfry").exception("failed\nhere", extra={"action": "bug"})
    assert stream.getvalue().count("\n") == 1
    assert "ValueError" in json.loads(stream.getvalue())["traceback"]


@pytest.mark.parametrize("human", [True, False])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("token <token> came", "<token>"),
        ("GET /v1/stream?ticket=<token>&topic=a", "<token>"),
        ("GET /v1/stream?ticket=not.a.jwt&topic=a", "not.a.jwt"),
        ("Authorization: Bearer <key>", "<key>"),
        ("headers: {'authorization': 'Bearer opaque'}", "opaque"),
        ("Cookie: belfry_token=opaque; theme=dark", "opaque"),
        ("connect to postgresql://app:pa55word@db:5432/app", "pa55word"),
        ("connect to postgresql://app:pa55@w/rd@db:5432/app", "rd@"),
        ("connect to host=db password = pa55word", "pa55word"),
        ('{"token": "op.aque"}', "op.aque"),
        ("Authorization: opaque", "opaque"),
        ("connect to host=db password=pa55word dbname=app", "pa55word"),
        ("connect to postgresql://db/app?user=app&password=pa55word", "pa55word"),
        ("key <key> is revoked", "<key>"),
    ],
)
def test_no_credential_reaches_a_log(human: bool, text: str, secret: str) -> None:
    text, secret = (each.replace("<token>", TOKEN).replace("<key>", KEY) for each in (text, secret))
    stream = written(human=human)
    log = logging.getLogger("belfry.test")
    log.info("%s", text)
    log.info("as an argument", extra={"action": "x", "detail": text, "nested": {"list": [text]}})
    try:
        raise ValueError(text)
    except ValueError:
        log.exception("as a traceback")
    assert stream.getvalue()
    assert secret not in stream.getvalue()


def test_what_is_no_credential_stays_readable() -> None:
    text = "Postgres refused the password: correct it. the token has expired: get a new one; u1 at http://127.0.0.1:8080/v1/stream?topic=team:7 a@b.example.com"  # noqa: E501 - one line is the point
    assert logs.redact(text) == text


@pytest.mark.parametrize(
    ("last", "reason"), [("belfry.errors.InRecovery: This is a standby.", "This is a standby."), ("KeyError: 1", None)]
)
def test_of_a_start_that_fails_the_reason_is_kept_and_the_traceback_only_of_a_bug(
    last: str, reason: str | None
) -> None:
    stream = written(human=False)
    log, failure = logging.getLogger("uvicorn.error"), logs.StartFailure()
    log.addFilter(failure)
    log.error("  + Exception Group Traceback:\n  |  File x\n    | %s\n    +---\n", last)
    log.error("Application startup failed. Exiting.")
    log.removeFilter(failure)
    assert failure.reason == reason
    assert stream.getvalue().count("\n") == (0 if reason else 2)


def test_the_servers_access_log_stays_silent() -> None:
    stream = written(human=False, level="debug")
    logging.getLogger("uvicorn.access").info('"GET /v1/stream?ticket=%s HTTP/1.1" 200', TOKEN)
    assert stream.getvalue() == ""
