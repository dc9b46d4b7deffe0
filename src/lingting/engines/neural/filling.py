"""Tensors into a module that was built on the meta device: every one of them checked.

A module built under ``torch.device("meta")`` has shapes and no memory. :func:`fill` reads one
tensor after the other, converts it and puts it in place, the largest first, so that the peak is
the finished model and one tensor more. A submodule that keeps its weights in another form, 8-bit
integers for one, says which tensors it wants (:class:`Taker`) and takes each as it comes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from lingting.engines.neural.checkpoints import Tensors, invalid

_MOST_NAMED = 3
_RELEASED_BYTES = 32 << 20


@runtime_checkable
class Taker(Protocol):
    """A submodule that stores its tensors in its own way."""

    def wanted(self) -> Mapping[str, tuple[int, ...]]:
        """The names below the module and the shapes of the tensors it takes."""
        ...

    def take(self, name: str, tensor: torch.Tensor) -> None:
        """Keep this tensor; it is on the CPU, in the checkpoint's own type."""
        ...


@dataclass(frozen=True, slots=True)
class _Place:
    """One tensor the module needs, and where it goes."""

    name: str
    module: nn.Module
    own_name: str
    shape: tuple[int, ...]


def fill(
    module: nn.Module,
    tensors: Tensors,
    *,
    prefix: str = "",
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    ignore: Sequence[str] = (),
) -> None:
    """Give every parameter and buffer of ``module`` its tensor, ``prefix`` + its own name.

    ``dtype`` is for floating-point tensors, None keeps each one's own. ``ignore`` names tensors
    below the prefix that may be there and are not used; a name that ends in a dot stands for all
    that begin with it. Buffers outside the state dict are not touched. Raises WeightsInvalid
    naming the file and the tensor that is missing, left over or of another shape; the module is
    then not touched at all.
    """
    own = tensors.under(prefix)
    places = list(_places(module))
    _check(own, places, prefix, tuple(ignore))
    done: dict[int, nn.Parameter | torch.Tensor] = {}
    read_bytes = 0
    for place in sorted(places, key=lambda one: -own.size_bytes(one.name)):
        if isinstance(place.module, Taker):
            place.module.take(place.own_name, own.read(place.name))
        else:
            _put(place, own, done, torch.device(device), dtype)
        read_bytes += own.size_bytes(place.name)
        if read_bytes >= _RELEASED_BYTES:
            _give_back_memory()
            read_bytes = 0
    _give_back_memory()
    module.requires_grad_(False)
    module.eval()


def _places(module: nn.Module) -> Iterator[_Place]:
    """Every tensor the module needs, in its own order."""
    takers: list[str] = []
    for path, submodule in module.named_modules(remove_duplicate=False):
        if any(path == taker or path.startswith(f"{taker}.") for taker in takers):
            continue
        dot = f"{path}." if path else ""
        taker: object = submodule
        if isinstance(taker, Taker):
            takers.append(path)
            for name, shape in taker.wanted().items():
                yield _Place(f"{dot}{name}", submodule, name, tuple(shape))
            continue
        own = dict(submodule.named_parameters(recurse=False))
        own |= {
            name: buffer
            for name, buffer in submodule.named_buffers(recurse=False)
            if name not in submodule._non_persistent_buffers_set
        }
        for name, tensor in own.items():
            yield _Place(f"{dot}{name}", submodule, name, tuple(tensor.shape))


def _check(own: Tensors, places: Sequence[_Place], prefix: str, ignore: tuple[str, ...]) -> None:
    needed = {place.name for place in places}
    missing = [prefix + place.name for place in places if place.name not in own]
    if missing:
        raise invalid(own.path, f"{_listed(missing)} missing")
    extra = [
        prefix + name
        for name in own.names()
        if name not in needed and not _is_ignored(name, ignore)
    ]
    if extra:
        raise invalid(own.path, f"{_listed(extra)} no part of this model")
    for place in places:
        found = own.shape(place.name)
        if found != place.shape:
            raise invalid(
                own.path,
                f"the tensor {prefix}{place.name} has the shape {list(found)} where "
                f"{list(place.shape)} is needed",
            )


def _is_ignored(name: str, ignore: tuple[str, ...]) -> bool:
    return any(name == one or (one.endswith(".") and name.startswith(one)) for one in ignore)


def _listed(names: Sequence[str]) -> str:
    """``the tensor a is``, ``the tensors a, b, c and 4 more are``."""
    if len(names) == 1:
        return f"the tensor {names[0]} is"
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"the tensors {shown}{f' and {more} more' if more > 0 else ''} are"


def _put(
    place: _Place,
    own: Tensors,
    done: dict[int, nn.Parameter | torch.Tensor],
    device: torch.device,
    dtype: torch.dtype | None,
) -> None:
    """Replace the empty tensor; one that two modules share stays shared."""
    empty = getattr(place.module, place.own_name)
    if id(empty) not in done:
        tensor = own.read(place.name)
        wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        tensor = tensor.to(device=device, dtype=wanted)
        is_parameter = isinstance(empty, nn.Parameter)
        done[id(empty)] = nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
    setattr(place.module, place.own_name, done[id(empty)])


def _give_back_memory() -> None:
    """Free pages go to the system, not into a hoard.

    Tensors that are read and converted leave holes between those that stay; without this an 8-bit
    model was loaded at the size of the file.
    """
    with suppress(OSError, AttributeError):  # another C library has no malloc_trim
        ctypes.CDLL("libc.so.6").malloc_trim(0)
