"""The package's part for React: its types, what a server draws with it, and its size."""

from __future__ import annotations

import gzip
import json
import shutil

import pytest

from react.packages import HERE, REQUIRE, WIDGET, bundled, packages
from widget.toolchain import needs_node, node, typescript

BYTES = 2_400
MAJORS = pytest.mark.parametrize("major", [18, 19])
SCRIPT = """
import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { BelfryProvider, Bell, Inbox, useCounts } from 'belfry-widget/react';
const Title = () => useCounts().unread;
const inside = [Title, Bell, Inbox]
  .map((each, key) => createElement(each, { key, className: 'ours', titleBadge: key === 1 }));
console.error = (...all) => { throw new Error(all.join(' ')); };
console.log(renderToString(createElement(BelfryProvider, { token: () => process.exit(1) }, inside)));
console.log(renderToString(createElement(Bell)));
"""


@needs_node
@MAJORS
@pytest.mark.timeout(150)
def test_the_types_hold_strictly_and_refuse_what_is_wrong(major: int) -> None:
    types = packages(major) / "@types" / "react"
    paths = {"react": [str(types)], "react/jsx-runtime": [str(types / "jsx-runtime")]}
    here = {"extends": str(HERE / "tsconfig.json"), "compilerOptions": {"paths": paths}}
    project = types.parents[2] / "tsconfig.json"
    files = [str(path) for path in (WIDGET / "react.js", HERE / "types.tsx", *sorted(WIDGET.glob("*.d.ts")))]
    project.write_text(json.dumps({**here, "files": files, "include": []}))
    done = node(typescript(), "--project", project, seconds=100)
    assert done.returncode == 0, done.stdout


@needs_node
@MAJORS
@pytest.mark.timeout(150)
def test_a_server_draws_a_bell_that_is_not_connected_and_asks_for_nothing(
    major: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("react")
    (folder / "script.jsx").write_text(SCRIPT)
    (folder / "server.mjs").write_text(REQUIRE + bundled(packages(major), folder / "script.jsx", "node"))
    done = node(folder / "server.mjs")
    drawn, *_ = done.stdout.split("\n")
    assert drawn.startswith("0<belfry-bell "), done.stderr
    assert 'class="ours"' in drawn
    assert " title-badge=" in drawn
    assert '<svg slot="icon" viewBox="0 0 24 24"' in drawn
    assert drawn.endswith("</belfry-inbox>")
    assert "there is no <BelfryProvider> around this component" in done.stderr


@needs_node
def test_node_finds_it_in_the_package_without_a_bundler(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("package")
    found = packages() / "react"
    shutil.copytree(WIDGET, folder / "node_modules" / "belfry-widget")
    (folder / "node_modules" / "react").symlink_to(found)
    (folder / "script.mjs").write_text(
        "import * as all from 'belfry-widget/react'; console.log(Object.keys(all).join())"
    )
    done = node(folder / "script.mjs")
    assert done.stdout == "BelfryProvider,Bell,Inbox,useClient,useCounts,useEvent,useNotifications\n", done.stderr


def test_it_is_small() -> None:
    assert len(gzip.compress((WIDGET / "react.js").read_bytes(), mtime=0)) <= BYTES
