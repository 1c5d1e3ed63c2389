"""The command line in this process: what it accepts, how it refuses, what it prints."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from belfry import __main__ as cli
from belfry import errors, workers
from belfry.auth import Verifier
from belfry.commands import common, dev, tail, tail_stream, tail_table
from belfry.config import SETTINGS, Config

SECRET = "a-secret-of-more-than-thirty-two-bytes"
ALL = [
    [],
    ["serve"],
    ["migrate"],
    ["migrate", "up"],
    ["migrate", "down"],
    ["migrate", "status"],
    ["migrate", "sql"],
    ["migrate", "carry"],
    ["token"],
    ["send"],
    ["tail"],
    ["key"],
    ["key", "create"],
    ["key", "list"],
    ["key", "revoke"],
    ["doctor"],
    ["prune"],
    ["erase"],
    ["export"],
]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting comes from where the tests happen to run."""
    for name in [name for name in os.environ if name.startswith("BELFRY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> int:
    """The exit code of one command."""
    try:
        return cli.main(words)
    except SystemExit as end:
        return int(end.code or 0)


# --- help ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words, "--help") == 0
    out = capsys.readouterr().out
    assert re.search(rf"^examples?:\n(.*\n)*  .*belfry {' '.join(words)}", out, re.MULTILINE), out


def test_every_setting_is_a_flag_of_serve_with_its_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    run("serve", "--help")
    out = " ".join(capsys.readouterr().out.split())
    for setting in SETTINGS.values():
        assert setting.flag in out
        assert f"{setting.variable}, default {setting.default_text}" in out


def test_the_flags_of_serve_reach_the_configuration() -> None:
    arguments = cli.parse(["serve", "--port", "0", "--dev", "--cors-origins", "https://a.example.com"])
    config = common.load_config(arguments)
    assert (config.port, config.dev, config.cors_origins) == (0, True, ("https://a.example.com",))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert re.fullmatch(r"belfry \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


# --- wrong usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serv"], "serv"),
        (["--nonsense", "serve"], "--nonsense"),
        (["serve", "--prot", "1"], "did you mean --port?"),
        (["serve", "--worker", "1"], "--worker"),
        (["serve", "now"], "'now'"),
        (["serve", "--workers", "0"], "--workers"),
        (["serve", "--workers", "-1"], "--workers"),
        (["serve", "--workers", "x", "--port", "y"], "--port"),
        (["serve", "--secret", "short"], "--secret"),
        (["migrate"], "ACTION"),
        (["migrate", "sideways"], "sideways"),
        (["migrate", "down", "--steps", "0"], "'0'"),
        (["token"], "RECIPIENT"),
        (["token", "u1", "--ttl", "soon"], "'soon'"),
        (["token", "u1", "--ttl", "0"], "'0'"),
        (["send"], "KIND"),
        (["send", "u1"], "RECIPIENT KIND"),
        (["send", "u1", "a.b", "--topic", "t"], "not two"),
        (["send", "a.b", "--topic", "t", "--broadcast"], "--broadcast"),
        (["send", "u1", "a.b", "--data", "{"], "JSON"),
        (["send", "u1", "a.b", "--severity", "loud"], "loud"),
        (["tail", "--cursor", "0"], "--recipient"),
        (["tail", "--recipient", "u1", "--secret", SECRET, "--url", "ftp://x"], "ftp://x"),
        (["tail", "--topic", "a/b"], "'a/b'"),
        (["key", "create"], "NAME"),
        (["key", "create", ""], "''"),
        (["key", "create", "x" * 256], "255"),
        (["key", "create", "x", "--scopes", "send,fly", "--database-url", "postgresql://h/d"], "fly"),
    ],
)
def test_wrong_usage_is_one_line_on_stderr_and_exit_code_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("belfry: ")
    assert captured.err.count("\n") == 1
    assert told in captured.err


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "examples:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve"], "BELFRY_SECRET"),
        (["serve", "--secret", SECRET], "BELFRY_DATABASE_URL"),
        (["token", "u1"], "BELFRY_SECRET"),
        (["token", "a/b", "--secret", SECRET], "no name"),
        (["send", "u1", "a.b"], "BELFRY_DATABASE_URL"),
        (["tail"], "BELFRY_DATABASE_URL"),
        (["tail", "--recipient", "u1"], "BELFRY_SECRET"),
        (["key", "list"], "BELFRY_DATABASE_URL"),
        (["migrate", "up"], "BELFRY_DATABASE_URL"),
    ],
)
def test_what_is_missing_is_one_line_on_stderr_and_exit_code_1(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert told in captured.err


def test_a_traceback_comes_with_debug_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "u1", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err
    assert run("token", "u1") == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_our_own_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("a\nb postgresql://u:pa55word@h/d")

    monkeypatch.setattr("belfry.auth.mint", fail)
    assert run("token", "u1", "--secret", SECRET) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "RuntimeError" in err
    assert "pa55word" not in err


# --- token ---------------------------------------------------------------------------------------------------


def test_token_prints_the_token_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "u1", "--secret", SECRET, "--ttl", "2m", "--topics", "a,b", "--tenant", "acme") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    credential = Verifier(Config(secret=SECRET)).recipient(captured.out.strip())
    assert (credential.recipient, credential.topics, credential.tenant) == ("u1", {"a", "b"}, "acme")
    assert captured.out.count("\n") == 1


def test_token_makes_tickets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "u1", "--secret", SECRET, "--ticket") == 0
    ticket = capsys.readouterr().out.strip()
    assert Verifier(Config(secret=SECRET)).recipient(ticket, ticket=True).recipient == "u1"


def test_the_env_file_of_the_directory_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text(f"BELFRY_SECRET={SECRET}\n")
    assert run("token", "u1") == 0
    assert capsys.readouterr().out.count(".") == 2


def test_a_development_server_lends_its_secret_to_the_commands_but_never_to_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".belfry").mkdir()
    (tmp_path / ".belfry" / "secret").write_text(SECRET + "\n")
    assert run("token", "u1") == 0
    assert Verifier(Config(secret=SECRET)).recipient(capsys.readouterr().out.strip()).recipient == "u1"
    assert run("serve") == 1


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), ("1.5d", 129600)])
def test_a_duration_is_written_as_people_do(text: str, seconds: float) -> None:
    assert common.duration(text) == seconds


# --- development mode ----------------------------------------------------------------------------------------


def test_the_development_secret_is_made_once_said_so_and_kept_private(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "secret"
    made = dev.kept(path, "a secret", lambda: SECRET)
    assert "made a secret" in capsys.readouterr().err
    assert dev.kept(path, "a secret", lambda: "another") == made == SECRET
    assert capsys.readouterr().err == ""
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_greeting_is_four_lines_and_the_last_two_are_commands() -> None:
    lines = dev.lines(Config(secret=SECRET), "http://127.0.0.1:8080")
    assert len(lines) == 4
    assert "http://127.0.0.1:8080/" in lines[0]
    assert Verifier(Config(secret=SECRET)).recipient(lines[1].split()[-1]).recipient == "demo"
    assert lines[2].startswith("curl -N ")
    assert " send demo " in lines[3]


# --- tail ----------------------------------------------------------------------------------------------------

ROW = {
    "id": 7,
    "recipient": "u1",
    "topic": None,
    "kind": "comment.created",
    "title": "Hello",
    "body": "world",
    "severity": "info",
    "created_at": "2026-01-02T03:04:05+00:00",
}


def test_a_notification_is_one_line() -> None:
    assert tail.line(ROW).endswith("  7  u1  comment.created  Hello · world")
    assert "[team:7]" in tail.line({**ROW, "recipient": None, "topic": "team:7"})
    assert "(error)" in tail.line({**ROW, "severity": "error"})


def test_a_notification_cannot_write_to_the_terminal_what_it_likes() -> None:
    line = tail.line({**ROW, "title": "\x1b[2Jgone\r\n\x9b31m", "body": "x" * 1000})
    assert line.isprintable()
    assert len(line) == tail.MAX_CHARACTERS


DEEP = '{"id":7,"topic":"t","data":' + '{"a":' * 6000 + "1" + "}" * 6001
LONG = json.dumps({**ROW, "data": "HERE"}).replace('"HERE"', "1" + "0" * 5000)


def test_data_that_python_cannot_read_do_not_end_the_tail(capsys: pytest.CaptureFixture[str]) -> None:
    tail._show_line(DEEP)
    tail._only("t", tail._show_line)(DEEP)
    tail._show_line(LONG)
    told = capsys.readouterr()
    assert told.err.count("Notification 7 is nested too deep") == 2
    assert told.out.endswith("  7  u1  comment.created  Hello · world\n")
    assert tail_table._content(f"data: {DEEP}\n\n".encode()) == DEEP
    tail._show_json(DEEP)
    assert capsys.readouterr().out == f"{DEEP}\n"


@pytest.mark.parametrize("created_at", ["infinity", "12026-01-02T03:04:05+00:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_python_has_not_does_not_end_the_tail(created_at: str) -> None:
    assert tail.line({**ROW, "created_at": created_at}).endswith("  7  u1  comment.created  Hello · world")


def test_an_event_stream_is_read_as_the_specification_says() -> None:
    parser = tail_stream.Parser()
    lines = [
        ": comment",
        "retry: 1500",
        "id: 1",
        "data: a",
        "data:b",
        "",
        "event: ready",
        "data: {}",
        "",
        "id: 2",
        "data: unfinished",
    ]
    events = [(event.name, event.data) for event in parser.events(lines)]
    assert events == [("message", "a\nb"), ("ready", "{}")]
    assert parser.last_id == "1"
    assert parser.retry_seconds == 1.5


# --- the port ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
def test_a_port_in_use_is_refused_before_anything_else(count: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(errors.PortInUse, match=r"--port"):
            workers.bind(Config(port=taken.getsockname()[1], workers=count))


def test_a_port_shared_by_other_workers_is_in_use_too() -> None:
    first = workers.bind(Config(port=0, workers=2))[0]
    with first:
        first.listen()
        with pytest.raises(errors.PortInUse):
            workers.bind(Config(port=first.getsockname()[1], workers=2))
        for each in workers.bind(Config(port=first.getsockname()[1], reuse_port=True)):
            each.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(errors.ConfigError, match="--host"):
        workers.bind(Config(host=host, port=0))


def test_a_name_with_several_addresses_gets_one_port_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    families = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")]
    monkeypatch.setattr(workers, "addresses", lambda host: families)
    sockets = workers.bind(Config(port=0))
    try:
        ports = {each.getsockname()[1] for each in sockets}
        assert len(sockets) == 2
        assert len(ports) == 1
    finally:
        for each in sockets:
            each.close()


def test_a_port_that_is_given_wins_over_a_development_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".belfry").mkdir()
    (tmp_path / ".belfry" / "address").write_text("http://127.0.0.1:1\n")
    assert run("tail", "--recipient", "u1", "--secret", SECRET, "--port", "2") == 1
    assert "http://127.0.0.1:2:" in capsys.readouterr().err
    assert run("tail", "--recipient", "u1", "--secret", SECRET) == 1
    assert "http://127.0.0.1:1:" in capsys.readouterr().err
