"""Several processes on one port, each with its own SO_REUSEPORT socket and its own relay.

The kernel spreads connections over the sockets. One shared listening socket would let whoever wakes first take most
of them, and for streams that lasts. The parent holds the port with a socket that never listens; it starts workers,
replaces one that died, hands on a stop, and ends when all have ended. A worker ends when its parent is gone: the
socket pair between them, over which the configuration came, then reads as closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import belfry
from belfry import errors, logs
from belfry.backoff import Backoff
from belfry.config import Config

log = logging.getLogger("belfry.workers")  # a worker is started as __main__

FIRST_PAUSE_SECONDS = 0.5
LAST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 10.0
STOP_SECONDS = 5.0
"""What a worker gets on top of `drain_seconds` before it is killed."""

READY = b"r"

_SOURCE = str(Path(belfry.__file__).resolve().parent.parent)


# --- the port ----------------------------------------------------------------------------------------------


def bind(config: Config) -> list[socket.socket]:
    """Sockets on every address of the host, bound and not listening. Raises PortInUse or ConfigError."""
    shared = config.workers > 1 or config.reuse_port
    if shared and not config.reuse_port:
        # Another server of ours shares its port too: only a socket that does not share can tell that it is there.
        for probe in _bind(config, share=False):
            probe.close()
    return _bind(config, share=shared)


def _bind(config: Config, *, share: bool) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    port = config.port
    try:
        for family, address in addresses(config.host):
            sockets.append(_socket(family, (address, port), share=share))
            port = port or sockets[0].getsockname()[1]
    except OSError as error:
        for each in sockets:
            each.close()
        raise _refusal(config, error) from error
    return sockets


def addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """What a host name stands for here, once each."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _socket(family: socket.AddressFamily, address: tuple[str, int], *, share: bool) -> socket.socket:
    each = socket.socket(family, socket.SOCK_STREAM)
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(address)
    except OSError:
        each.close()
        raise
    return each


def _refusal(config: Config, error: OSError) -> errors.BelfryError:
    where = f"{config.host} port {config.port}"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return errors.ConfigError(f"{config.host} is no address of this machine: choose another with --host.")
    if error.errno == errno.EACCES:
        return errors.ConfigError(f"This user may not listen on {where}: choose a port above 1023 with --port.")
    if error.errno == errno.EADDRINUSE:
        return errors.PortInUse(f"{where} is in use: stop what has it, or choose another: --port, BELFRY_PORT.")
    return errors.ConfigError(f"Cannot listen on {where}: {error.strerror}.")


# --- serving -----------------------------------------------------------------------------------------------


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on uvloop where it is there."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows
        return None
    return uvloop.new_event_loop


async def serve(config: Config, sockets: list[socket.socket], *, on_ready: Callable[[], None], **more: Any) -> None:
    """Serve in this process, or, with several workers, in theirs; returns after a drain."""
    if config.workers == 1:
        await _serve(config, sockets, on_ready=on_ready, **more)
    else:
        await Workers(config, more, on_ready).run()


async def _serve(config: Config, sockets: list[socket.socket], *, on_ready: Callable[[], None], **more: Any) -> None:
    from belfry import server  # the parent of several workers needs none of it

    failure = logs.StartFailure()
    logging.getLogger("uvicorn.error").addFilter(failure)
    try:
        await server.serve(config, sockets, _monitoring_sockets(config), on_ready=on_ready, **more)
    except SystemExit as end:  # uvicorn's way to say that the start failed
        raise errors.StartFailed(failure.reason) from end
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise _refusal(config, error) from error  # somebody began to listen after we had bound
    finally:
        logging.getLogger("uvicorn.error").removeFilter(failure)


def _monitoring_sockets(config: Config) -> list[socket.socket]:
    """Sockets on the port for metrics, where there is one. No other process shares it: each tells its own."""
    if config.metrics_port is None:
        return []
    return bind(config.replace(port=config.metrics_port, reuse_port=False, workers=1))


class Workers:
    """The parent's side."""

    def __init__(self, config: Config, more: dict[str, Any], on_ready: Callable[[], None]) -> None:
        self._config = config
        self._more = more
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._ready: set[int] = set()
        self._announced = False
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        """Keep the workers running until SIGTERM or SIGINT. Raises WorkersFailed when none ever became ready."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(self._config.workers):
                    group.create_task(self._keep(slot))
        except ExceptionGroup as failures:
            ours = [each for each in failures.exceptions if isinstance(each, errors.BelfryError)]
            raise (ours or [failures])[0] from None

    async def _keep(self, slot: int) -> None:
        """One worker after another, with a growing pause between them."""
        backoff = Backoff(FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._one_or_none(slot)
            if self._stopping.is_set():
                return
            if not self._announced:
                raise errors.WorkersFailed()
            if time.monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            pause = backoff.next_seconds()
            log.warning(
                "worker %d ended with %s; another one starts in %.1f s",
                slot + 1,
                code,
                pause,
                extra={"action": "worker_died"},
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _one_or_none(self, slot: int) -> int | str:
        """The same, where the system may have no room for one now: the others go on."""
        try:
            return await self._one(slot)
        except OSError as error:
            return error.strerror or type(error).__name__

    async def _one(self, slot: int) -> int:
        """Start a worker and wait for its end; its exit code."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await _start(theirs)
            self._processes[slot] = process
            talk = asyncio.create_task(self._talk(slot, ours))
            stop = asyncio.create_task(self._hand_on(process))
            try:
                return await process.wait()
            finally:
                talk.cancel()
                stop.cancel()
                with contextlib.suppress(ProcessLookupError):
                    process.kill()  # it is another worker's end that ends us: nobody may speak after the parent
                await asyncio.gather(talk, stop, process.wait(), return_exceptions=True)
                self._ready.discard(slot)
                self._processes.pop(slot, None)

    async def _talk(self, slot: int, ours: socket.socket) -> None:
        """Hand over the configuration, hear that the worker is ready."""
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        message = pickle.dumps((self._of_worker(slot), self._more))
        await loop.sock_sendall(ours, len(message).to_bytes(4, "big") + message)
        if await loop.sock_recv(ours, 1) == READY:
            self._ready.add(slot)
            if not self._announced and len(self._ready) == self._config.workers:
                self._announced = True
                self._on_ready()

    def _of_worker(self, slot: int) -> Config:
        """The configuration of one worker, whose figures have a port of their own."""
        first = self._config.metrics_port
        port = None if first is None else first + slot
        return self._config.replace(reuse_port=True, workers=1, metrics_port=port)

    async def _hand_on(self, process: asyncio.subprocess.Process) -> None:
        """When it is time to stop: ask, and after a while insist."""
        await self._stopping.wait()
        process.terminate()
        await asyncio.sleep(self._config.drain_seconds + STOP_SECONDS)
        process.kill()

    def _stop(self) -> None:
        if self._stopping.is_set():  # asked twice: now
            self._kill()
        self._stopping.set()

    def _kill(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _start(theirs: socket.socket) -> asyncio.subprocess.Process:
    path = os.pathsep.join(filter(None, (_SOURCE, os.environ.get("PYTHONPATH"))))
    return await asyncio.create_subprocess_exec(
        # -P: whatever is named belfry in the working directory is not us.
        sys.executable,
        "-P",
        "-m",
        "belfry.workers",
        str(theirs.fileno()),
        stdin=asyncio.subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is the parent's, which hands it on once
    )


# --- a worker ----------------------------------------------------------------------------------------------


def main(number: int) -> int:
    """Be a worker: the configuration comes over this file descriptor, whose end is the end."""
    parent = socket.socket(fileno=number)
    with parent.makefile("rb") as file:
        message = file.read(int.from_bytes(file.read(4), "big"))
    if not message:
        return 1
    config, more = pickle.loads(message)
    logs.configure(config.log_level, config.log_format)
    threading.Thread(target=_outlive, args=(parent, config.drain_seconds), daemon=True).start()
    try:
        run(_serve(config, bind(config), on_ready=lambda: parent.sendall(READY), **more))
    except errors.BelfryError as error:
        log.error("%s", error.message, extra={"action": "worker_failed"})
        return error.exit_code
    return 0


def _outlive(parent: socket.socket, drain_seconds: float) -> None:
    """When the parent is gone: drain as for a SIGTERM, then end in any case."""
    with contextlib.suppress(OSError):
        parent.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(drain_seconds + STOP_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
