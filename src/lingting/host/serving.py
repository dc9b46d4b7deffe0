"""The process: sockets, event loop, signals, and the order in which all of it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from lingting.errors import ExtraMissing
from lingting.host.app import HostApp
from lingting.host.host import Host
from lingting.host.listening import Listener

_KEEP_ALIVE_S = 75  # longer than any client keeps its idle connections
_GRACE_S = 15
_FAREWELL_S = 1.0  # for the answers to what a host that hangs hands back
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def check_packages() -> None:
    """Raises ExtraMissing when the server's packages are not installed."""
    try:
        import httptools  # noqa: F401
        import uvicorn  # noqa: F401
        import uvloop  # noqa: F401
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            f"An engine host needs {exc.name}, which is not installed.",
            'Run `pip install "lingting[server]"`.',
        ) from exc


def serve(
    host: Host,
    listeners: Sequence[Listener],
    *,
    on_ready: Callable[[Callable[[], None]], None] = lambda _: None,
    has_signals: bool = True,
) -> None:
    """Serve until SIGTERM or Ctrl-C; returns when everything has ended in good order.

    A batch that hangs ends the process, with exit code 1: no thread can be stopped, and whoever
    looks after the process starts it again.

    ``on_ready`` is called when connections are taken, with a function that begins the end and may
    be called from any thread. Outside the main thread there are no signals to hear.
    """
    check_packages()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, listeners, on_ready, has_signals))


async def _serve(
    host: Host,
    listeners: Sequence[Listener],
    on_ready: Callable[[Callable[[], None]], None],
    has_signals: bool,
) -> None:
    loop = asyncio.get_running_loop()
    app = HostApp(host, on_hang=lambda: loop.call_later(_FAREWELL_S, os._exit, 1))
    app.start()
    server = _server(app)
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        try:
            await app.drain()
        finally:
            server.should_exit = True

    def begin_end(is_impatient: bool = True) -> None:
        """A second signal means now."""
        if ending:
            if is_impatient:
                os._exit(128 + signal.SIGTERM)
            return
        ending.append(loop.create_task(end()))

    def stop() -> None:
        with suppress(RuntimeError):  # it has ended by itself
            loop.call_soon_threadsafe(begin_end, False)

    if has_signals:
        for number in _SIGNALS:
            loop.add_signal_handler(number, begin_end)
    loop.call_soon(on_ready, stop)
    try:
        await server.serve(sockets=[listener.socket for listener in listeners])
    finally:
        app.stop()
        for listener in listeners:
            listener.close()
        await loop.run_in_executor(None, host.close)
        host.tell({"event": "host.stopped"})


def _server(app: HostApp) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Signals are ours: work is drained before connections are closed."""
            yield

    return Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            h11_max_incomplete_event_size=1 << 16,
            backlog=2048,
        )
    )
