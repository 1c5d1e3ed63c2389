"""The widget's modules: their own tests in Node, their types, and what index.d.ts says of them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from toolchain import WIDGET, needs_node, node, typescript

HERE = Path(__file__).parent
TESTS = sorted(path.name for path in HERE.glob("*.test.mjs"))
CLIENT = ("api.js", "client.js", "store.js", "stream.js", "tabs.js")
CLIENT_BYTES = 10_850


@needs_node
@pytest.mark.parametrize("name", TESTS)
def test_the_modules_pass_their_own_tests(name: str) -> None:
    done = node("--test", HERE / name)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_node
@pytest.mark.timeout(150)
def test_the_types_hold_strictly_and_are_what_index_d_ts_says() -> None:
    done = node(typescript(), "--project", HERE / "tsconfig.json", seconds=100)
    assert done.returncode == 0, done.stdout


@needs_node
def test_a_server_may_import_it_though_it_has_no_window() -> None:
    module = json.dumps((WIDGET / "client.js").as_uri())
    script = f"import {{ createClient }} from {module}; console.log(createClient({{src: 'http://x'}}).snapshot.status)"
    done = node("--input-type=module", "--eval", script)
    assert (done.returncode, done.stdout) == (0, "idle\n"), done.stderr


def test_the_client_is_small() -> None:
    sizes = {name: len(gzip.compress((WIDGET / name).read_bytes(), mtime=0)) for name in CLIENT}
    assert sum(sizes.values()) <= CLIENT_BYTES, sizes


def test_it_needs_nothing_but_itself_and_writes_no_markup() -> None:
    for path in WIDGET.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", text), (
            path
        )
        if path.name != "react.js":
            assert set(re.findall(r"^(?:import|export) .*from '([^.][^']*)'", text, re.MULTILINE)) == set(), path


def test_the_package_has_the_version_of_belfry() -> None:
    from belfry import __version__

    assert json.loads((WIDGET / "package.json").read_text())["version"] == __version__
