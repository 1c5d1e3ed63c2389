"""The wheel: whole, alone in its name, and at work beside a project with packages `app`, `sql` and `tests`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import SECONDS, Running, environment, started

from belfry import __version__, migrations

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "app" / "belfry"
THEIRS = ("app", "sql", "tests")


def built(kind: str, source: Path, target: Path) -> Path:
    """The archive that the build backend makes of a source tree."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    (archive,) = target.iterdir()
    return archive


def files(directory: Path, prefix: str) -> set[str]:
    """The names that the files of a directory should have in the wheel."""
    found = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{prefix}/{path.relative_to(directory).as_posix()}" for path in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return built("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel in it, as pip installs it."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*pip, "--target", target, wheel], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose packages have the names of our directories."""
    for name in THEIRS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'their {name}'\n")
    return tmp_path


@contextmanager
def beside(project: Path, installed: Path, *words: str | Path, **settings: str | None) -> Iterator[Running]:
    """A Python in the project's directory that finds the wheel and our dependencies, but not the source tree.

    -S keeps it from reading the .pth file through which the environment finds that.
    """
    path = os.pathsep.join(map(str, (project, installed, sysconfig.get_path("purelib"))))
    found = environment(**settings) | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    with started([sys.executable, "-S", *words], project, found) as one:
        yield one


def printed(project: Path, installed: Path, *words: str | Path) -> str:
    """What such a Python prints until its end."""
    with beside(project, installed, *words) as one:
        assert one.ended() == 0, one.err
    return "\n".join(one.out)


def test_it_installs_belfry_and_no_other_name(installed: Path) -> None:
    names = {path.name for path in installed.iterdir()}
    assert names == {"belfry", f"belfry-{__version__}.dist-info", "bin"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["belfry"]


def test_it_holds_every_file_of_the_package_and_the_sql(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = files(PACKAGE, "belfry") | files(ROOT / "sql", "belfry/sql")
    assert {name for name in names if not name.startswith(f"belfry-{__version__}.dist-info/")} == expected
    assert expected >= {"belfry/py.typed", "belfry/demo/index.html", "belfry/sql/migrations/0001_core.up.sql"}
    assert f"belfry-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_source_archive_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    with tarfile.open(built("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = built("wheel", source, tmp_path / "built")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert set(other.namelist()) == set(one.namelist())


def test_beside_a_project_with_an_app_of_its_own_each_import_finds_its_own(project: Path, installed: Path) -> None:
    script = """
import json, sys
from pathlib import Path
import app, sql, tests, belfry, belfry.server
from belfry import migrations
print(json.dumps({
    "theirs": [each.OWNER for each in (app, sql, tests)],
    "ours": sorted({m.__file__ for n, m in sys.modules.items() if n.partition(".")[0] == "belfry"}),
    "source": str(migrations.source()),
    "checksums": [each.checksum for each in migrations.load()],
    "found": [each for each in sys.path if Path(each, "belfry", "__init__.py").is_file()],
}))
"""
    told = json.loads(printed(project, installed, "-c", script))
    assert told["theirs"] == [f"their {name}" for name in THEIRS]
    assert len(told["ours"]) > 10
    assert all(Path(path).is_relative_to(installed / "belfry") for path in told["ours"])
    assert told["source"] == str(installed / "belfry" / "sql")
    assert told["checksums"] == [each.checksum for each in migrations.load()]
    assert told["checksums"]
    assert told["found"] == [str(installed)]  # else it says nothing of the wheel


def test_its_command_installs_the_schema_and_serves_the_whole_demo(
    project: Path, installed: Path, empty_database: str
) -> None:
    command = (installed / "bin" / "belfry", "serve", "--dev", "--port", "0")
    with beside(project, installed, *command, database_url=empty_database) as server:
        address = server.wait_for("Belfry is at").split()[-1]
        assert any("installed the schema: 0001_core" in line for line in server.err)
        with urllib.request.urlopen(address, timeout=SECONDS) as response:
            assert b"<!doctype html>" in response.read(100).lower()
        for path in (PACKAGE / "demo").iterdir():
            if path.suffix in (".css", ".js", ".svg"):
                with urllib.request.urlopen(f"{address}demo/{path.name}", timeout=SECONDS) as response:
                    assert len(response.read()) == path.stat().st_size
        server.process.terminate()
        assert server.ended() == 0
