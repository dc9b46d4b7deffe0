"""An engine host in a thread of the test or in a process of its own, its engine made of Python.

A clip is known by its loudness, as in :mod:`small_server`; what the engine heard in clip 7 is
``clip 7``.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from small_server import STEP

from lingting.engines.base import Clip, Engine, EngineFacts, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.host import Host, HostOptions
from lingting.host.listening import listen, parse_place
from lingting.host.serving import serve


def number_of(clip: Clip) -> int:
    return round(float(clip.samples[len(clip.samples) // 2]) * 32_767 / STEP) - 1


def hear(clip: Clip) -> Hypothesis:
    return Hypothesis(f"clip {number_of(clip)}", clip.options.language or "zh", confidence=0.9)


class Gated:
    """An engine whose batches begin when the test lets them, and that remembers them."""

    def __init__(self, script: Callable[[Clip], Hypothesis] = hear) -> None:
        self.inner = ScriptedEngine(script)
        self.batches: list[list[int]] = []
        self.began = threading.Semaphore(0)
        self._go = threading.Semaphore(0)
        self.is_open = False
        self.is_closed = False

    @property
    def facts(self) -> EngineFacts:
        return self.inner.facts

    def recognize(self, clips: Sequence[Clip]) -> list[Hypothesis]:
        self.batches.append(sorted(map(number_of, clips)))
        self.began.release()
        if not self.is_open:
            assert self._go.acquire(timeout=30)
        return self.inner.recognize(clips)

    def close(self) -> None:
        self.is_closed = True

    def wait_begun(self) -> None:
        assert self.began.acquire(timeout=30)

    def let(self, batches: int = 1) -> None:
        self._go.release(batches)

    def open(self) -> None:
        self.is_open = True
        self._go.release(100)


@dataclass
class Hosted:
    """A running host of the test."""

    address: str
    host: Host
    stop: Callable[[], None]
    thread: threading.Thread
    events: list[Mapping[str, Any]] = field(default_factory=list)
    engines: list[Engine] = field(default_factory=list)
    """Closed at the end."""

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = self.connection()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def json(self, path: str, method: str = "GET") -> Any:
        return json.loads(self.ask(method, path)[2])

    def connection(self) -> http.client.HTTPConnection:
        if not self.address.startswith("unix:"):
            return http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(30)
        connection.sock.connect(self.address.removeprefix("unix:"))
        return connection


@contextmanager
def hosting(
    load: Engine | Callable[[str, str | None], Engine],
    options: HostOptions | None = None,
    *,
    models: Sequence[str] = ("tiny",),
    place: str | None = None,
) -> Iterator[Hosted]:
    """Until the block ends. ``place`` as for ``--listen``; else a Unix socket."""
    events: list[Mapping[str, Any]] = []
    loader = load if callable(load) else lambda *_: load
    host = Host(loader, models, options, tell=events.append)
    ready = threading.Event()
    stops: list[Callable[[], None]] = []

    def on_ready(stop: Callable[[], None]) -> None:
        stops.append(stop)
        ready.set()

    with tempfile.TemporaryDirectory() as folder:
        listener = listen(parse_place(place or f"{folder}/run/e.sock"), has_key=True)
        thread = threading.Thread(
            target=serve,
            args=(host, [listener]),
            kwargs={"on_ready": on_ready, "has_signals": False},
        )
        thread.start()
        assert ready.wait(30)
        hosted = Hosted(listener.place.address, host, stops[0], thread, events)
        try:
            yield hosted
        finally:
            if isinstance(load, Gated):
                load.open()
            for engine in hosted.engines:
                engine.close()
            hosted.stop()
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def host_process(
    socket_path: Path, *, seconds: float = 0.0, model: str = "tiny", hang_s: float = 1800.0
) -> Iterator[subprocess.Popen[str]]:
    """A host that can be killed; ``seconds`` is how long it takes over a clip."""
    command = [sys.executable, __file__, str(socket_path), str(seconds), model, str(hang_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline().strip() == "ready"
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        process.stdout.close()


def main(path: str, seconds: str, model: str, hang_s: str) -> None:
    import time

    def slowly(clip: Clip) -> Hypothesis:
        time.sleep(float(seconds))
        return hear(clip)

    options = HostOptions(hang_s=float(hang_s))
    host = Host(lambda *_: ScriptedEngine(slowly), [model], options)
    listener = listen(parse_place(path), has_key=False)
    serve(host, [listener], on_ready=lambda _: print("ready", flush=True))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
