"""A server that a test starts, kills and replaces on one and the same port, and its database."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from acceptance.commandline import environment, free_port
from belfry import auth
from belfry.config import Config

SECRET = "a-secret-of-more-than-thirty-two-bytes"
SECONDS = 40.0
READY = re.compile(r"ready on|^Belfry is at", re.MULTILINE)  # the second in development mode


def until(what: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until something holds; what it was last is in the message."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not become true in {seconds} s: {found!r}"
        time.sleep(0.02)


class Server:
    """One relay on one port."""

    def __init__(self, database: str, folder: Path, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.sql = psycopg.connect(database, autocommit=True)
        self._folder = folder
        self._settings = {
            "database_url": database,
            "secret": SECRET,
            "heartbeat_seconds": "1",
            "recipient_requests_per_minute": "0",
            **settings,
        }
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self.sql.close()

    def start(self, **settings: str) -> Server:
        """Serve; returns when it is ready."""
        self._settings |= settings
        command = [sys.executable, "-m", "belfry", "serve", "--port", str(self.port)]
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=self._folder, env=environment(**self._settings), stdout=log, stderr=log, text=True
            )
        process = self._process
        until(lambda: READY.search(self.log) or process.poll() is not None)
        assert process.poll() is None, self.log
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(SECONDS)
            self._process = None
            (self._folder / "log").unlink()

    def pause(self) -> None:
        """Stop it in its tracks: its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def token(self, recipient: str = "u1", seconds: float = 600, **more: Any) -> str:
        """A token of that recipient."""
        return auth.mint(Config(secret=SECRET), recipient, seconds, **more)

    # --- the database ----------------------------------------------------------------------------------------

    def value(self, query: str, *parameters: object) -> Any:
        """The first column of the first row."""
        row = self.sql.execute(query.encode(), parameters or None).fetchone()
        return row and row[0]

    def send(self, title: str, recipient: str = "u1") -> int:
        """One notification."""
        return self.value("SELECT belfry.send(%s, 'test', %s)", recipient, title)

    def counts(self, recipient: str = "u1") -> tuple[int, int]:
        """What the table says: unread and unseen."""
        row = self.sql.execute("SELECT unread, unseen FROM belfry.counts(%s)", (recipient,)).fetchone()
        assert row is not None
        return row[0], row[1]

    def inbox(self, recipient: str = "u1", state: str = "all", most: int = 1000) -> list[list[Any]]:
        """What the table says: id, title, seen, read of a list."""
        found = self.sql.execute(
            "SELECT id, title, seen, read FROM belfry.list_inbox(%s, %s, max_rows => %s) ORDER BY id DESC",
            (recipient, state, most),
        )
        return [list(row) for row in found.fetchall()]

    def streams(self, application: str = "belfry relay") -> int:
        """How many relays are connected."""
        return self.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", application)


class StandIn:
    """What answers on the server's port while it is away: one status, with or without the headers of CORS."""

    def __init__(self, port: int, status: int, origin: str | None = None) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path.partition('?')[0]}")
                self.send_response(200 if self.command == "OPTIONS" else status)
                for name in ("Origin", "Headers") if origin else ():
                    self.send_header(
                        f"Access-Control-Allow-{name}", origin if name == "Origin" else "authorization,content-type"
                    )
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_OPTIONS = do_GET

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
