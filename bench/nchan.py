"""nchan, the C module for nginx, as the yardstick: started for a run, published to over one pipelined connection."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from bench.postgres import free_port

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
CONFIG = """
load_module {module};
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {directory}/pid; error_log {directory}/error.log;
{user}
events {{ worker_connections 60000; }}
http {{
  access_log off; keepalive_timeout 3600s; keepalive_requests 100000000; tcp_nodelay on;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/publish/(.+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000; }}
    location ~ ^/stream/(.+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1; }}
  }}
}}
"""


class NchanMissing(Exception):
    """nginx with nchan is not installed (Debian: nginx, libnginx-mod-nchan)."""


class Nchan:
    """A running nginx with one worker."""

    def __init__(self, directory: Path) -> None:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not nginx or not MODULE.exists():
            raise NchanMissing(NchanMissing.__doc__)
        self.port = free_port()
        user = "user root;" if os.geteuid() == 0 else ""
        config = directory / "nginx.conf"
        config.write_text(CONFIG.format(module=MODULE, directory=directory, port=self.port, user=user))
        self._process = subprocess.Popen([nginx, "-p", directory, "-c", config], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                self._publisher = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
        self._answers = self._publisher.makefile("rb")

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        master = self._process.pid
        return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """POST each (channel, body), pipelined; every answer is read."""
        head = b"POST /publish/%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n"
        request = b"".join(head % (channel.encode(), len(body)) + body for channel, body in messages)
        self._publisher.sendall(request)
        for _ in messages:
            self._read_answer()

    def _read_answer(self) -> None:
        status = self._answers.readline()
        if b" 201 " not in status and b" 202 " not in status:
            raise RuntimeError(f"nchan refused to publish: {status!r}")
        length = 0
        while line := self._answers.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        self._answers.read(length)

    def stop(self) -> None:
        """End nginx."""
        self._publisher.close()
        self._process.terminate()
        self._process.wait(10)


def message(id: int, *, recipient: str | None, topic: str | None, title: str, body: str) -> bytes:
    """The same JSON that Belfry writes for a row."""
    row: dict[str, object] = {
        "id": id, "recipient": recipient, "topic": topic, "tenant": "", "kind": "bench.row", "title": title,
        "body": body, "action_url": None, "actions": [], "data": {}, "actor": None, "tags": [], "severity": "info",
        "created_at": "2026-01-01T00:00:00.000000+00:00",
    }  # fmt: skip
    return json.dumps(row, separators=(",", ":")).encode()


@contextlib.contextmanager
def running() -> Generator[Nchan]:
    """nginx with nchan for the length of a run."""
    directory = Path(tempfile.mkdtemp(prefix="belfry-nchan-"))
    server = Nchan(directory)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
