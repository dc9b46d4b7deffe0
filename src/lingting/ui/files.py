"""The modules, styles and words that the pages load, under an address that changes with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_KINDS = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    body: bytes
    media_type: str


def words() -> Mapping[str, tuple[str, str]]:
    """Every text of the pages, by its key, in English and in Chinese."""
    return {key: both for group in _groups().values() for key, both in group.items()}


@cache
def _groups() -> Mapping[str, Mapping[str, tuple[str, str]]]:
    found: dict[str, Mapping[str, tuple[str, str]]] = {}
    for entry in files("lingting.ui").joinpath("words").iterdir():
        if entry.name.endswith(".json"):
            given = json.loads(entry.read_text(encoding="utf-8"))
            found[entry.name.removesuffix(".json")] = {
                key: (english, chinese) for key, (english, chinese) in given.items()
            }
    return found


@cache
def assets() -> Mapping[str, File]:
    """Each file by its path below :func:`prefix`.

    ``words/<group>.js`` are made from ``words/<group>.json``, for browsers that import no JSON.
    """
    found = dict(_below(files("lingting.ui").joinpath("static"), ""))
    for name, group in _groups().items():
        text = json.dumps(group, ensure_ascii=False, separators=(",", ":"))
        found[f"words/{name}.js"] = File(f"export default {text};\n".encode(), _KINDS["js"])
    return found


@cache
def digest() -> str:
    """Changes with any of the files, so that browsers may keep them for ever."""
    sums = hashlib.sha256()
    for path, file in sorted(assets().items()):
        sums.update(f"{path}\0{len(file.body)}\0".encode())
        sums.update(file.body)
    return sums.hexdigest()[:16]


def _below(folder: Traversable, before: str) -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for entry in folder.iterdir():
        path = f"{before}{entry.name}"
        if entry.is_dir():
            found += _below(entry, f"{path}/")
        elif (kind := _KINDS.get(entry.name.rpartition(".")[2])) is not None:
            found.append((path, File(entry.read_bytes(), kind)))
    return found
