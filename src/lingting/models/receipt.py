"""What was installed, and how it looked then: ``.lingting.json`` in the model folder.

The full SHA-256 check is done once, when files are installed. The receipt then remembers size and
modification time beside each digest, so that loading a model costs a few ``stat`` calls; a file
whose size or time changed is hashed again before it may be loaded. Files without a digest in the
catalogue are pinned here: the digest of their first arrival is the one they must keep.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

RECEIPT_NAME = ".lingting.json"
_FORMAT = 1
CHUNK_BYTES = 1 << 20

Pin = Literal["catalogue", "local"]


@dataclass(frozen=True, slots=True)
class Entry:
    size_bytes: int
    mtime_ns: int
    sha256: str
    pin: Pin
    """Who vouches for the digest: the catalogue, or the first pull or import on this machine."""


@dataclass(frozen=True, slots=True)
class Receipt:
    model: str
    source: str
    """The kind of source the files came from: wheels, huggingface, modelscope or folder."""
    files: Mapping[str, Entry]


def read_receipt(folder: Path) -> Receipt | None:
    """None when there is none or it cannot be understood: the model then counts as partial."""
    try:
        document = json.loads((folder / RECEIPT_NAME).read_text(encoding="utf-8"))
        return _parse(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _parse(document: Any) -> Receipt | None:
    if document["format"] != _FORMAT:
        return None
    files: dict[str, Entry] = {}
    for path, item in document["files"].items():
        pin: Pin = "local" if item["pin"] == "local" else "catalogue"
        size_bytes, mtime_ns = int(item["size_bytes"]), int(item["mtime_ns"])
        files[str(path)] = Entry(size_bytes, mtime_ns, str(item["sha256"]), pin)
    return Receipt(str(document["model"]), str(document["source"]), files)


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Atomically: a reader sees the old one or the new one."""
    document = {
        "format": _FORMAT,
        "model": receipt.model,
        "source": receipt.source,
        "files": {path: asdict(entry) for path, entry in receipt.files.items()},
    }
    staged = folder / f"{RECEIPT_NAME}.{os.getpid()}"
    staged.write_text(json.dumps(document, indent=1), encoding="utf-8")
    os.replace(staged, folder / RECEIPT_NAME)


def sha256_of(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Lower case hex; ``on_bytes`` hears how many bytes have been read so far."""
    digest = hashlib.sha256()
    done_bytes = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            done_bytes += len(chunk)
            if on_bytes is not None:
                on_bytes(done_bytes)
    return digest.hexdigest()
