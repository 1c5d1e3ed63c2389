"""The demo page's pure parts, and what its snippets mean to the languages they are written in."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DEMO = HERE.parents[2] / "app" / "belfry" / "demo"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="needs node, for the demo page's JavaScript")

AWKWARD = [
    "O'Brien",
    '"quoted" """thrice"""',
    "back\\slash \\n",
    "two\nlines",
    "tab\tand\rreturn",
    "%s %(title)s {x}",
    "nul\u202eevil \u2028 \x01",
    "é 漢 🔔",
]


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run([NODE, *arguments], capture_output=True, text=True, timeout=50, check=False)


@needs_node
def test_the_demo_pages_javascript_passes_its_own_tests() -> None:
    run = node("--test", str(HERE / "snippets.test.mjs"))
    assert run.returncode == 0, run.stdout + run.stderr


@needs_node
@pytest.mark.parametrize("database_url", ["postgresql://u:p'w@localhost/app", None])
def test_the_python_snippet_passes_exactly_what_was_typed_as_parameters(database_url: str | None) -> None:
    for text in AWKWARD:
        draft = {"audience": "topic", "recipient": "", "topic": text, "kind": "k", "title": text, "body": text}
        source = snippet("python", {**draft, "severity": "info", "action_url": ""}, {"databaseUrl": database_url})
        calls = [found for found in ast.walk(ast.parse(source)) if isinstance(found, ast.Call)]
        execute = next(call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "execute")
        statement, parameters = (ast.literal_eval(argument) for argument in execute.args)
        assert parameters == {"topic": text, "kind": "k", "title": text, "body": text}
        assert re.findall(r"(\w+) => %\((\w+)\)s", statement) == [(name, name) for name in parameters]


@pytest.mark.parametrize("name", sorted(path.name for path in DEMO.iterdir()))
def test_the_page_runs_under_a_strict_content_security_policy(name: str) -> None:
    text = (DEMO / name).read_text(encoding="utf-8")
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", text)
    if name.endswith(".html"):
        assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", text)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    if name.endswith(".css"):
        assert "@import" not in text
        assert "url(" not in text


def snippet(language: str, draft: dict[str, str], at: dict[str, str | None]) -> str:
    """A snippet of the page, as it would be copied."""
    script = (
        f"import * as s from {json.dumps((DEMO / 'snippets.js').as_uri())};"
        f"process.stdout.write(s.plain(s[{json.dumps(language)}]({json.dumps(draft)}, {json.dumps(at)})))"
    )
    run = node("--input-type=module", "--eval", script)
    assert run.returncode == 0, run.stderr
    return run.stdout
