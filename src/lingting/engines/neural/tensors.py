"""Tensors by where they lie: nothing of them is in memory until it is read.

A tensor of a checkpoint is described by file, offset, type and shape, so choosing, renaming and
joining tensors moves no data. Reading is a plain file read of just the bytes asked for. Nothing is
mapped into memory, so a 2 GB file costs no more than the tensor being read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from lingting.errors import WeightsInvalid

NEXT_STEP = "Fetch the model again, or convert it from the publisher's file."
_MOST_DIMENSIONS = 8
_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Stored:
    """Where one piece of a tensor lies: ``shape`` and ``strides`` count elements."""

    file: Path
    offset_bytes: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """Elements from the first to the last one, gaps included."""
        if 0 in self.shape:
            return 0
        return 1 + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True)
class Tensors:
    """The tensors of a checkpoint by name; ``path`` is the file (or index) they come from.

    A tensor is one or more pieces, joined along the first dimension.
    """

    path: Path
    pieces: Mapping[str, tuple[Stored, ...]] = field(repr=False)

    def names(self) -> tuple[str, ...]:
        return tuple(self.pieces)

    def __contains__(self, name: object) -> bool:
        return name in self.pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def shape(self, name: str) -> tuple[int, ...]:
        pieces = self._pieces(name)
        if len(pieces) == 1:
            return pieces[0].shape
        return (sum(piece.shape[0] for piece in pieces), *pieces[0].shape[1:])

    def dtype(self, name: str) -> torch.dtype:
        return self._pieces(name)[0].dtype

    def size_bytes(self, name: str) -> int:
        return math.prod(self.shape(name)) * self.dtype(name).itemsize

    def read(self, name: str) -> torch.Tensor:
        """A fresh, contiguous CPU tensor; only its own bytes are read. Raises WeightsInvalid."""
        pieces = [_read(name, piece) for piece in self._pieces(name)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Rows ``start`` to ``stop`` of the first dimension, for tensors too big to hold twice."""
        pieces = self._pieces(name)
        if len(pieces) != 1 or not pieces[0].shape:
            return self.read(name)[start:stop].clone()
        piece = pieces[0]
        start, stop, _ = slice(start, stop).indices(piece.shape[0])
        rows = Stored(
            piece.file,
            piece.offset_bytes + start * piece.strides[0] * piece.dtype.itemsize,
            piece.dtype,
            (max(0, stop - start), *piece.shape[1:]),
            piece.strides,
        )
        return _read(name, rows)

    def under(self, prefix: str) -> Tensors:
        """Those whose name begins with ``prefix``, which is taken off."""
        return Tensors(
            self.path,
            {n[len(prefix) :]: p for n, p in self.pieces.items() if n.startswith(prefix)},
        )

    def without(self, *prefixes: str) -> Tensors:
        """Those whose name begins with none of the prefixes."""
        return Tensors(
            self.path, {n: p for n, p in self.pieces.items() if not n.startswith(prefixes)}
        )

    def renamed(self, sources: Mapping[str, str | tuple[str, ...]]) -> Tensors:
        """New name → the old name, or old names that are joined along the first dimension.

        Tensors that no new name is made of are left out. Raises WeightsInvalid for an old name
        that is not there and for parts that do not fit together.
        """
        pieces: dict[str, tuple[Stored, ...]] = {}
        for name, old in sources.items():
            olds = (old,) if isinstance(old, str) else old
            parts = tuple(piece for one in olds for piece in self._pieces(one))
            if len({(part.dtype, part.shape[1:]) for part in parts}) != 1 or (
                len(parts) > 1 and not parts[0].shape
            ):
                raise invalid(self.path, f"the parts of {name} do not fit together")
            pieces[name] = parts
        return Tensors(self.path, pieces)

    def _pieces(self, name: str) -> tuple[Stored, ...]:
        try:
            return self.pieces[name]
        except KeyError:
            raise invalid(self.path, f"the tensor {name} is missing") from None


def joined(tensors: Iterable[Tensors]) -> Tensors:
    """Several sets as one; the path is the first one's. Raises WeightsInvalid for a name twice."""
    sets = list(tensors)
    pieces: dict[str, tuple[Stored, ...]] = {}
    for one in sets:
        for name, stored in one.pieces.items():
            if name in pieces:
                raise invalid(one.path, f"the tensor {name} occurs twice")
            pieces[name] = stored
    return Tensors(sets[0].path, pieces)


def invalid(path: Path, what: str) -> WeightsInvalid:
    """One sentence naming the weight file and what is wrong with it."""
    return WeightsInvalid(f"{path.name} cannot be used: {what}.", NEXT_STEP)


def _read(name: str, piece: Stored) -> torch.Tensor:
    """The bytes of a piece as a contiguous tensor."""
    span = piece.span
    flat = torch.empty(span, dtype=piece.dtype)
    if span:
        buffer = flat.view(torch.uint8).numpy().data
        try:
            with piece.file.open("rb", buffering=0) as stream:
                stream.seek(piece.offset_bytes)
                _fill_buffer(stream, buffer)
        except OSError as exc:
            raise invalid(piece.file, f"the tensor {name} cannot be read") from exc
        except EOFError:
            raise invalid(piece.file, f"it ends inside the tensor {name}") from None
    if piece.strides == contiguous_strides(piece.shape):
        return flat.view(piece.shape)
    return flat.as_strided(piece.shape, piece.strides).contiguous()


def _fill_buffer(stream: IO[bytes], buffer: memoryview) -> None:
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done : done + _CHUNK_BYTES])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        done += count


def are_sizes(values: Any) -> bool:
    """A list or tuple of whole numbers that a tensor's shape may hold; files can say anything."""
    return (
        isinstance(values, list | tuple)
        and len(values) <= _MOST_DIMENSIONS
        and all(type(value) is int and 0 <= value < 1 << 48 for value in values)
    )


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))
