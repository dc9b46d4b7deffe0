"""``lingting serve`` in a process of its own, as people start it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

WITHIN_S = 120.0


def until(is_so: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """The first thing that is true of what it is asked for."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        found = is_so()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


class Service:
    """All processes of it, over the data in ``folder``; its log is beside that."""

    def __init__(self, folder: Path, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.environment = {
            **os.environ, "LINGTING_DATA_DIR": str(folder), "LINGTING_SERVER": self.url,
            "LINGTING_PORT": str(self.port), **environment,
        }  # fmt: skip
        self.log = folder.with_suffix(".log")
        self.start()

    @property
    def key(self) -> str:
        """What the command line uses on this machine."""
        return (self.folder / "run" / "key").read_text().strip()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lingting", "serve"],
                env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            until(self.is_healthy)
        except BaseException:
            self._end()
            raise

    def is_healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(self.url + "/healthz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def is_ready(self) -> bool:
        return self.is_healthy() and httpx.get(self.url + "/readyz", timeout=10).is_success

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lingting", *words], env=self.environment, text=True,
            capture_output=True, timeout=WITHIN_S,
        )  # fmt: skip

    def stop(self) -> None:
        self._end()

    def _end(self) -> None:
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
