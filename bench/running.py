"""A whole service for benches and fault runs: started in a folder of its own, and watched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from lingting import Client
from lingting.config import settings
from lingting.server.place import read_state

_READY_S = 180.0
_STOP_S = 90.0


@dataclass
class RunningService:
    """``lingting serve`` on ``data``; ``environment`` is what every process of it was given."""

    data: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self) -> str:
        """The one that the service left in its folder."""
        return (settings(data_dir=self.data).run_folder / "key").read_text().strip()

    def client(self, timeout_s: float = 60.0) -> Client:
        """With that key."""
        return Client(self.url, self.key(), timeout_s=timeout_s)

    def pids(self) -> dict[str, int]:
        """Of the processes that run now, by their names."""
        state = read_state(settings(data_dir=self.data)) or {}
        found = state.get("processes", {})
        return {name: one["pid"] for name, one in found.items() if one.get("pid")}

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5.0).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_ready(self, timeout_s: float = _READY_S) -> None:
        until_s = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.process.poll() is not None:
                raise SystemExit(f"The service ended with {self.process.returncode}.")
            if time.monotonic() > until_s:
                raise SystemExit("The service did not get ready.")
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running_service(
    data: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """The service on the models of this user; it is stopped at the end, whatever happened."""
    port = free_port()
    whole = {
        **os.environ,
        "LINGTING_DATA_DIR": str(data),
        "LINGTING_PORT": str(port),
        **(environment or {}),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lingting", "serve"],
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    service = RunningService(data, port, whole, process)
    try:
        yield service
    finally:
        service.stop()


def rss_bytes(pid: int) -> int:
    """Resident memory now; 0 for a process that is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_s(pid: int) -> float:
    """Processor time of a process and its children that ended; 0 when it is gone."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0
