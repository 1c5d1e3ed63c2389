"""React of a major version, its types and esbuild: pinned here, fetched once from npm into `.cache/`."""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache"
WIDGET = ROOT / "app" / "belfry" / "widget"
LOCK = "package-lock.json"
REQUIRE = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);\n"
"""What a bundle for Node begins with: React itself is CommonJS."""


def packages(major: int = 19) -> Path:
    """Where they are; the test is skipped where they cannot be had. The widget is there as a package, too."""
    npm = shutil.which("npm") or pytest.skip("needs npm once, to fetch React: apt install npm")
    pinned, cache = (HERE, CACHE / "react") if major == 19 else (HERE / str(major), CACHE / f"react-{major}")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        wanted, fetched = (pinned / LOCK).read_bytes(), cache / "fetched"
        if not fetched.exists() or fetched.read_bytes() != wanted:
            fetch(npm, pinned, cache)
            fetched.write_bytes(wanted)
        packed(cache / "node_modules" / "belfry-widget")
    return cache / "node_modules"


def packed(target: Path) -> None:
    """The widget as a package. A copy: through a link, what builds the wheel would find its files here, not there."""
    if target.is_symlink():
        target.unlink()
    target.mkdir(exist_ok=True)
    for path in WIDGET.iterdir():
        copy = target / path.name
        if path.is_file() and (not copy.exists() or copy.read_bytes() != path.read_bytes()):
            shutil.copy(path, copy)


def fetch(npm: str, pinned: Path, cache: Path) -> None:
    """Install what is pinned."""
    for name in ("package.json", LOCK):
        shutil.copy(pinned / name, cache)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=cache, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot fetch React: {done.stderr.strip()[-200:]}")


@functools.cache
def bundled(packages: Path, script: Path, platform: str = "browser", mode: str = "development") -> str:
    """A script with all that it imports, as one module."""
    command = [
        packages / ".bin" / "esbuild",
        script,
        "--bundle",
        "--format=esm",
        "--jsx=automatic",
        "--log-level=error",
    ]
    done = subprocess.run(
        [*command, f"--platform={platform}", f'--define:process.env.NODE_ENV="{mode}"'],
        env={**os.environ, "NODE_PATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
