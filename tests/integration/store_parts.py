"""What the tests of the store share: transcripts, audio, and a real Postgres server."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lingting.transcript import (
    Damage,
    Edit,
    Failure,
    ModelFacts,
    Segment,
    Transcript,
    Word,
)

STARTED_WITHIN_S = 60.0
_HOST = "127.0.0.1"


def rich_transcript() -> Transcript:
    """Every field of a transcript set, in two scripts."""
    words = (Word("一", 0.1, 0.2, 0.9), Word("千", 0.2, 1 / 3, None))
    return Transcript(
        segments=(
            Segment(
                0.1, 2.5, "1000元，退款。", "一千元退款", "zh", words, "ctc",
                (Edit(0, 2, 0, 4, "itn"),), 0.87, "说话人 1", 0, "happy", ("laughter",),
                ("guard.loop",), None,
            ),
            Segment(2.5, 4.0, "", "", failure=Failure("engine.failed", "It stopped.")),
            Segment(4.0, 6.0, "Refund it 100%_now", "refund it", "en", speaker="B\nb"),
        ),
        duration_s=6.25,
        language="zh",
        speech_s=5.5,
        sample_rate_hz=8_000,
        channels=2,
        damage=Damage(3, True, 1.25, 7),
        model=ModelFacts("whisper-base", "ab" * 32, "int8"),
        notes=("fallback",),
    )  # fmt: skip


def plain_transcript(count: int, said: str = "第{}句话。") -> Transcript:
    """``count`` segments of one second."""
    segments = tuple(
        Segment(float(at), at + 1.0, said.format(at), said.format(at), "zh") for at in range(count)
    )
    return Transcript(segments, float(count), "zh")


def postgres_programs() -> Path:
    """The newest server's programs; skips aloud without one."""
    found = [
        Path(path).parent for path in (shutil.which("initdb"), shutil.which("postgres")) if path
    ]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("no Postgres server is installed here: apt-get install postgresql")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server of our own on loopback; everything of it is gone afterwards."""
    programs = postgres_programs()
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="lingting-pg-", dir="/tmp"))
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        _as(user, [programs / "initdb", "-D", folder / "data", "-U", "lingting",
                   "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])  # fmt: skip
        port = _free_port()
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", "-h", _HOST, "-p", str(port),
             "-k", str(folder), "-c", "fsync=off"],
            **_identity(user), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_for(port, server)
            yield f"postgresql://lingting@{_HOST}:{port}/history"
        finally:
            server.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class S3Server:
    """A real S3 server of our own on loopback, empty but for the bucket ``audio``.

    It can be stopped and started again on the same port; what it held is gone then.
    """

    def __init__(self) -> None:
        self.port = _free_port()
        self.endpoint = f"http://{_HOST}:{self.port}"
        self._program: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "LINGTING_BLOB_URL": "s3://audio/kept/here",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(self.port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until_s = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < until_s:
            assert self._program.poll() is None, "the S3 server ended"
            try:
                httpx.put(f"{self.endpoint}/audio").raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the S3 server did not start")

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._program is not None
        return self._program.pid

    def stop(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program.wait(20)
            self._program = None

    def freeze(self, is_frozen: bool) -> None:
        """It takes connections and never answers, or goes on."""
        assert self._program is not None
        self._program.send_signal(signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def uploads(self) -> str:
        """Multipart uploads that were begun and are neither whole nor aborted, as XML."""
        return httpx.get(f"{self.endpoint}/audio?uploads").text

    def clear(self) -> None:
        """Empty again."""
        httpx.post(f"{self.endpoint}/moto-api/reset").raise_for_status()
        httpx.put(f"{self.endpoint}/audio").raise_for_status()

    def overwrite(self, key: str, data: bytes) -> None:
        """Rot, or a stranger."""
        from obstore.store import S3Store

        S3Store(
            "audio", endpoint=self.endpoint, client_options={"allow_http": True},
            access_key_id="tests", secret_access_key="tests", region="us-east-1",  # noqa: S106 - of our own server
        ).put(key, data)  # fmt: skip


@contextmanager
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _unprivileged() -> pwd.struct_passwd | None:
    """Postgres refuses to run as root; then it runs as somebody who may do nothing else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("no unprivileged user to run Postgres as")


def _identity(user: pwd.struct_passwd | None) -> dict[str, object]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _as(user: pwd.struct_passwd | None, command: list[object]) -> None:
    subprocess.run(
        [str(word) for word in command], check=True, cwd="/", capture_output=True, timeout=120,
        **_identity(user),
    )  # fmt: skip


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((_HOST, 0))
        return int(one.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    until_s = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < until_s:
        assert server.poll() is None, "Postgres ended"
        try:
            with psycopg.connect(
                f"postgresql://lingting@{_HOST}:{port}/postgres", connect_timeout=5, autocommit=True
            ) as connection:
                connection.execute("create database history")
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("Postgres did not start")
