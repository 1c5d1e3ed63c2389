"""Owns an embedded Postgres, or attaches to one, until SIGTERM; prints its URL: `embedded_owner.py DIRECTORY`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from belfry import embedded, errors


async def main() -> None:
    """Hold it, then let go."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with embedded.running(Path(sys.argv[1])) as url:
        print(url, flush=True)  # noqa: T201 - this is what the test reads
        await stop.wait()


try:
    asyncio.run(main())
except errors.BelfryError as error:
    sys.exit(error.message)
