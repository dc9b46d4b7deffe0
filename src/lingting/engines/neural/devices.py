"""Where a model runs, in which numbers, how much memory is free, and what to do when it is not.

float16 is refused: the decoder's activations leave its range and the text becomes ``!!!!``
(the adaptor alone peaks above 1,000 with a standard deviation of 28). bfloat16 has the range.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from lingting.errors import EngineFailed, OptionInvalid

T = TypeVar("T")
R = TypeVar("R")

COMPUTE_NAMES = ("auto", "int8", "bfloat16", "float32")
_SHORT_NAMES = {"bf16": "bfloat16", "fp32": "float32"}
_HALF = ("float16", "fp16", "half")
_UNKNOWN_FREE_BYTES = 2 << 30  # what we suppose where the system does not tell


@dataclass(frozen=True, slots=True)
class Compute:
    """The numbers a model is computed in."""

    name: str
    dtype: torch.dtype
    """Of activations, and of weights that are not int8."""
    int8: bool = False
    """Linear layers keep 8-bit weights (CPU only)."""


def choose(device: str) -> torch.device:
    """``auto`` is CUDA, then Apple's GPU, then the CPU. Raises OptionInvalid."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise OptionInvalid(f"device is {device}; allowed are auto, cpu, cuda, cuda:0 and mps.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise OptionInvalid(
            f"device is {device}, but PyTorch sees {torch.cuda.device_count()} CUDA devices here.",
            "Use --device cpu, or install a PyTorch that fits the driver.",
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionInvalid("device is mps, but PyTorch sees no such GPU here.", "Use cpu.")
    return torch.device(device)


def choose_compute(compute: str, device: torch.device) -> Compute:
    """``auto`` is int8 on the CPU, bfloat16 on CUDA and float32 elsewhere. Raises OptionInvalid."""
    name = _SHORT_NAMES.get(compute, compute)
    if name in _HALF:
        raise OptionInvalid(
            f"compute is {compute}; this model leaves the range of float16 and writes '!!!!'.",
            "Use bfloat16, float32 or, on a CPU, int8.",
        )
    if name not in COMPUTE_NAMES:
        raise OptionInvalid(f"compute is {compute}; allowed are {', '.join(COMPUTE_NAMES)}.")
    if name == "auto":
        name = {"cpu": "int8", "cuda": _cuda_compute()}.get(device.type, "float32")
    if name == "int8" and device.type != "cpu":
        raise OptionInvalid(
            f"compute is int8 and the device is {device.type}; int8 runs on the CPU only.",
            "Use bfloat16 or float32 there.",
        )
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    return Compute(name, dtype, int8=name == "int8")


def _cuda_compute() -> str:
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(
        including_emulation=False  # older GPUs imitate it, slower than float32
    )
    return "bfloat16" if has_bfloat16 else "float32"


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on the device, what PyTorch holds unused included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + held)
    if device.type == "mps":
        allowed = torch.mps.recommended_max_memory()
        return max(0, int(allowed - torch.mps.current_allocated_memory()))
    return _free_ram_bytes()


def used_bytes() -> dict[str, int]:
    """What PyTorch holds on the GPU it would choose, and how much there is; nothing without one."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "device_bytes": int(torch.cuda.memory_reserved()),
        "device_free_bytes": int(free),
        "device_total_bytes": int(total),
    }


def _free_ram_bytes() -> int:
    """What the machine has left, or the container if that is less."""
    limits = [_available_bytes(), *_container_bytes()]
    known = [limit for limit in limits if limit is not None]
    return min(known, default=_UNKNOWN_FREE_BYTES)


def _available_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _free_pages_bytes()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    available = fields.get("MemAvailable")
    return int(available.split()[0]) * 1024 if available else None


def _free_pages_bytes() -> int | None:
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return None


def _container_bytes() -> Iterator[int]:
    """Control groups, version 2 and 1: the limit less what is in use."""
    root = Path("/sys/fs/cgroup")
    pairs = (
        (root / "memory.max", root / "memory.current"),
        (root / "memory/memory.limit_in_bytes", root / "memory/memory.usage_in_bytes"),
    )
    for limit, used in pairs:
        try:
            yield max(0, int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # "max" is no limit
            continue


def release(device: torch.device) -> None:
    """Give memory that is held but not used back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux alone has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """So many cores inside, the caller's own setting again afterwards; None changes nothing."""
    before = torch.get_num_threads()
    if threads is None or threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Survived(Generic[R]):
    """Results in order, and what it took: ``memory.halved``, ``memory.cpu``."""

    results: list[R]
    notes: tuple[str, ...] = ()


def with_less_memory(
    run: Callable[[Sequence[T]], list[R]],
    batch: Sequence[T],
    *,
    device: torch.device,
    on_cpu: Callable[[Sequence[T]], list[R]] | None = None,
    forget: Callable[[], None] | None = None,
) -> Survived[R]:
    """``run(batch)``; out of memory it runs in halves, and a single item on the CPU.

    ``run`` gives one result per item, in order; ``forget`` lets go of what is kept between calls
    and could be made again. Raises EngineFailed when one item alone does not
    fit and there is no other place to run it.
    """
    try:
        return Survived(run(batch))
    except torch.OutOfMemoryError as exc:
        if len(batch) == 1 and on_cpu is None:
            raise EngineFailed(
                "One clip alone does not fit into the memory of the device.",
                "Use --device cpu, or free memory on the device.",
            ) from exc
    # Outside the handler: the exception's frames hold the tensors that did not fit.
    if forget is not None:
        forget()
    release(device)
    if len(batch) == 1 and on_cpu is not None:
        return Survived(on_cpu(batch), ("memory.cpu",))
    middle = len(batch) // 2
    halves = [
        with_less_memory(run, half, device=device, on_cpu=on_cpu, forget=forget)
        for half in (batch[:middle], batch[middle:])
    ]
    notes = dict.fromkeys(("memory.halved", *halves[0].notes, *halves[1].notes))
    return Survived([*halves[0].results, *halves[1].results], tuple(notes))
