"""Node, and TypeScript from npm, which is kept in `.cache/`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WIDGET = ROOT / "app" / "belfry" / "widget"
TYPESCRIPT = "typescript@5.9.3"
CACHE = ROOT / ".cache" / TYPESCRIPT
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="needs node 20 or newer: apt install nodejs")


def node(*arguments: str | Path, seconds: float = 50) -> subprocess.CompletedProcess[str]:
    """Run node to its end."""
    assert NODE is not None
    return subprocess.run(
        [NODE, "--no-warnings", *arguments], capture_output=True, text=True, timeout=seconds, check=False
    )


def typescript() -> Path:
    """TypeScript's compiler, from npm the first time; the test is skipped where there is none."""
    compiler = CACHE / "node_modules" / "typescript" / "bin" / "tsc"
    if not compiler.exists():
        npm = shutil.which("npm") or pytest.skip("needs npm once, to fetch TypeScript: apt install npm")
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "package.json").write_text("{}")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE), TYPESCRIPT]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {TYPESCRIPT}: {done.stderr.strip()[-200:]}")
    return compiler
