"""What a measurement ran on and what it cost: processor, memory, versions, time."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "lingting", "av", "ctranslate2", "faster-whisper", "funasr", "kaldi-native-fbank", "numpy",
    "onnxruntime", "opencc", "rapidfuzz", "tokenizers", "torch", "transformers", "wetext",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware and system a figure belongs to."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    python: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took. ``peak_rss_bytes`` is of this process, None where unknown."""

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int | None


def read_machine() -> Machine:
    """This machine; ``cores`` are those this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        memory_bytes = 0
    return Machine(
        cpu=_cpu(),
        cores=cores,
        memory_bytes=memory_bytes,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
    )


def read_packages() -> dict[str, str]:
    """Versions of the packages that can change a figure; absent ones are left out."""
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@dataclass(slots=True)
class Meter:
    """Wall clock, CPU time of this process and its children, and peak memory since ``start``."""

    _wall_s: float = field(default=0.0, init=False)
    _cpu_s: float = field(default=0.0, init=False)

    def start(self) -> None:
        # Linux lowers the high-water mark to the present when told to, so that two runs in one
        # process have each their own peak. Where it may not, the process's whole life counts.
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._wall_s, self._cpu_s = time.perf_counter(), _cpu_s()

    def stop(self) -> Cost:
        return Cost(
            wall_s=time.perf_counter() - self._wall_s,
            cpu_s=_cpu_s() - self._cpu_s,
            peak_rss_bytes=_peak_rss_bytes(),
        )


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_rss_bytes() -> int | None:
    """``VmHWM`` of Linux; elsewhere what getrusage says (bytes on macOS, KiB on others)."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
