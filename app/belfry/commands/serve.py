"""`belfry serve`: the relay."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from belfry import logs, migrations, preflight, workers
from belfry.commands import common, dev
from belfry.config import SETTINGS, Config, unknown
from belfry.dotenv import environment

log = logging.getLogger(__name__)

EXAMPLES = """\
  belfry serve --dev                         a Postgres, a secret and a demo page, all under .belfry/
  BELFRY_DATABASE_URL=postgresql://app@db/app BELFRY_SECRET=… belfry serve
  belfry serve --workers 4 --port 9000       four processes that share the port
  belfry serve --cors-origins https://app.example.com,https://admin.example.com"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    common.add_settings(parser, SETTINGS)


def _run(arguments: argparse.Namespace) -> int:
    config = common.load_config(arguments, serving=True)
    if config.public_key_file or config.jwks_file:
        from belfry import auth  # the parent of several workers needs it for this alone

        auth.Verifier(config)
    logs.configure(config.log_level, config.log_format)
    for name in unknown(environment(os.environ, Path.cwd())):
        log.warning("%s is no setting of Belfry's, and changes nothing", name, extra={"action": "setting_unknown"})
    sockets = workers.bind(config)
    config = config.replace(port=sockets[0].getsockname()[1])
    try:
        workers.run(_Serving(config, sockets).run())
    finally:
        for each in sockets:
            each.close()
    return 0


class _Serving:
    """One run of the server. A signal ends the preparation at once; once it serves, a signal means to drain.

    Between the two lies the time in which the server is loaded and does not listen for signals yet: what comes then is
    kept, and stops the server when it is ready.
    """

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        self._config = config
        self._sockets = sockets
        self._address = common.http_address(config.host, config.port)
        self._preparing = True
        self._kept: int | None = None

    async def run(self) -> None:
        """Prepare, serve until told to stop, clean up."""
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop(asyncio.get_running_loop(), task.cancel))
        with contextlib.suppress(asyncio.CancelledError):
            if self._config.dev:
                async with dev.prepared(self._config, self._address) as (config, key):
                    await self._serve(config, dev.lines(config, self._address), dev_api_key=key)
            else:
                count = "1 worker" if self._config.workers == 1 else f"{self._config.workers} workers"
                await self._serve(self._config, [f"belfry: ready on {self._address} ({count})"])

    async def _serve(self, config: Config, greeting: list[str], **more: Any) -> None:
        async with common.connected(config.listen_url) as direct:
            if config.direct_url:  # or a database that is the wrong one would be called one without the schema
                async with common.connected(config.database_url, pooled=True) as api:
                    await preflight.refuse_two_databases(direct, api)
            await migrations.check(direct)
        self._preparing = False
        await workers.serve(config, self._sockets, on_ready=lambda: self._greet(greeting), **more)

    def _greet(self, lines: list[str]) -> None:
        if self._kept is None:
            common.say("\n".join(lines))
        else:
            signal.raise_signal(self._kept)

    def _stop(
        self, loop: asyncio.AbstractEventLoop, cancel: Callable[[], object]
    ) -> Callable[[int, FrameType | None], None]:
        def stop(number: int, _frame: FrameType | None) -> None:
            if self._preparing:
                self._preparing = False
                loop.call_soon_threadsafe(cancel)
            else:
                self._kept = number

        return stop


COMMAND = common.Command("serve", "run the relay", EXAMPLES, _arguments, _run)
