"""What the doctor says without a database, and how its findings are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from belfry import __main__ as cli
from belfry import doctor, errors
from belfry.config import Config
from belfry.doctor import here, schema
from belfry.doctor.finding import Finding, fail, ok, refused, skipped, warn

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
FOUND = {
    "one": ok("all is well"),
    "the other": warn("it will hurt", "do something before it does " * 6),
    "third": fail("it is broken", "mend it"),
    "last": skipped("nobody may look"),
}


def every_name() -> list[str]:
    return ["database", *(doctor.name_of(check) for check in (*doctor.CHECKS, *here.CHECKS))]


# --- findings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "seen", "advice"),
    [
        (errors.SchemaMissing(), "the database has no schema `belfry` yet", "run `belfry migrate up`"),
        (
            errors.SequenceChanged(),
            "the sequence belfry.position must count one by one",
            "ALTER SEQUENCE belfry.position INCREMENT 1 CACHE 1",
        ),
        (errors.DatabaseUnavailable(), "Postgres does not answer", None),
        (errors.ConfigError("BELFRY_DIRECT_URL leads astray"), "BELFRY_DIRECT_URL leads astray", ""),
    ],
)
def test_a_refusal_of_the_start_becomes_what_is_seen_and_what_to_do(
    error: errors.BelfryError, seen: str, advice: str | None
) -> None:
    found = refused(error)
    assert (found.state, found.seen) == ("fail", seen)
    assert found.advice == advice if advice is not None else found.advice


def test_the_limit_of_open_files_is_held_against_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert here.descriptors(Config(max_streams=900)).state == "ok"
    found = here.descriptors(Config(max_streams=1000))
    assert (found.state, "LimitNOFILE=1064" in found.advice) == ("warn", True), found
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert here.descriptors(Config(max_streams=10_000_000)).state == "ok"


def test_a_missing_key_is_told() -> None:
    assert here.settings(Config(secret="x" * 32)).state == "ok"
    found = here.settings(Config())
    assert (found.state, "BELFRY_SECRET" in found.advice) == ("warn", True), found


def test_the_indexes_of_migrations_are_read_and_those_that_were_dropped_left_out() -> None:
    first = """
        CREATE INDEX a_idx ON belfry.t (a);
        CREATE UNIQUE INDEX b_idx ON belfry.t (b)
            WHERE b > 0;
        CREATE INDEX c_idx ON belfry.t (c);
    """
    second = "DROP INDEX belfry.a_idx, belfry.c_idx; CREATE INDEX a_idx ON belfry.t (a, b); DROP INDEX IF EXISTS x_idx;"
    assert schema.declared([first, second]) == {
        "b_idx": "CREATE UNIQUE INDEX b_idx ON belfry.t (b) WHERE b > 0;",
        "a_idx": "CREATE INDEX a_idx ON belfry.t (a, b);",
    }


# --- how they are told -----------------------------------------------------------------------------------------


def told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str, **more: Finding | None
) -> tuple[int, str]:
    """What the command prints of FOUND, changed by `more`, and its exit code."""

    async def examine(_: Config) -> dict[str, Finding]:
        return {name: each for name, each in {**FOUND, **more}.items() if each}

    monkeypatch.setattr(doctor, "examine", examine)
    code = cli.main(["doctor", "--database-url", "postgresql://nowhere/none", *words])
    return code, capsys.readouterr().out


def test_each_finding_is_a_line_with_what_to_do_below_and_the_sum_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out = told(capsys, monkeypatch)
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == "  ok    one        all is well"
    assert lines[1] == "  warn  the other  it will hurt"
    assert lines[2].startswith("                   → do something before it does do")
    assert lines[3:5] == ["  fail  third      it is broken", "                   → mend it"]
    assert lines[5] == "  skip  last       nobody may look"
    assert lines[-1] == "  1 ok, 1 warning, 1 failure, 1 skipped"
    assert "\x1b" not in out, "colours are for a terminal"


def test_a_terminal_gets_colours_and_lines_that_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, out = told(capsys, monkeypatch)
    assert "\x1b[33mwarn\x1b[0m  the other" in out
    plain = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert max(map(len, plain.splitlines())) <= 60
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in told(capsys, monkeypatch)[1]


def test_without_a_failure_the_exit_code_is_0(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capsys, monkeypatch, third=None)[0] == 0
    code, out = told(capsys, monkeypatch, "--json", third=None)
    assert (code, json.loads(out)["healthy"]) == (0, True)


def test_json_has_every_finding(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out = told(capsys, monkeypatch, "--json")
    document = json.loads(out)
    assert (code, document["healthy"]) == (1, False)
    assert [each["name"] for each in document["checks"]] == list(FOUND)
    assert document["checks"][2] == {"name": "third", "state": "fail", "seen": "it is broken", "advice": "mend it"}


def test_what_is_seen_holds_no_password(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://u:pa55word@h/d"
    for words in ([], ["--json"]):
        assert "pa55word" not in told(capsys, monkeypatch, *words, one=fail(f"{url} does not answer", f"see {url}"))[1]


def test_without_a_database_it_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BELFRY_DATABASE_URL", raising=False)
    assert cli.main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n"), "BELFRY_DATABASE_URL" in captured.err) == ("", 1, True)


# --- the page --------------------------------------------------------------------------------------------------


def test_the_page_has_a_part_for_every_check_and_none_for_others() -> None:
    parts = re.findall(r"^### `(.+)`$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert parts == every_name()


def test_every_check_says_what_it_is_for() -> None:
    assert all((check.__doc__ or "").endswith(".") for check in (*doctor.CHECKS, *here.CHECKS))
