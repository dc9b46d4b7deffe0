"""A CTranslate2 folder of a Whisper model into memory, and the threads that will work with it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lingting.audio.features import WHISPER_HOP_SAMPLES, WHISPER_MELS
from lingting.engines.base import SAMPLE_RATE_HZ
from lingting.errors import OptionInvalid, WeightsInvalid

COMPUTE_TYPES = ("int8", "int8_float32", "float32", "float16", "int8_float16", "bfloat16", "auto")

_MOST_WORKERS = 8
_KERNEL_CACHE = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
_KERNELS = 16
_REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")


def check_folder(folder: Path) -> None:
    """Raises WeightsInvalid when a file is missing, and names it."""
    missing = [name for name in _REQUIRED_FILES if not (folder / name).is_file()]
    if missing:
        raise WeightsInvalid(f"The model folder has no {', '.join(missing)}.")


def share_threads(threads: int | None, device: str) -> tuple[int, int]:
    """(batches at a time, threads for each). More workers would only cost memory."""
    if device != "cpu":
        return 1, 1
    cores = threads or len(os.sched_getaffinity(0))
    workers = min(cores, _MOST_WORKERS)
    return workers, cores // workers


def load_model(folder: Path, device: str, compute: str, workers: int, threads: int) -> Any:
    """CTranslate2's model. Raises OptionInvalid for what the device cannot do, WeightsInvalid."""
    import ctranslate2

    try:
        model = ctranslate2.models.Whisper(
            str(folder),
            device=device,
            compute_type=compute,
            inter_threads=workers,
            intra_threads=threads,
        )
        if device == "cpu":
            _bound_kernel_cache(model)
        return model
    except ValueError as exc:
        raise OptionInvalid(f"The device {device} cannot compute in {compute}.") from exc
    except RuntimeError as exc:
        if device != "cpu" and "CUDA" in str(exc):
            raise OptionInvalid(
                f"The device {device} cannot be used.", "Try --device cpu."
            ) from exc
        raise WeightsInvalid("The model's weights cannot be loaded.") from exc


def _bound_kernel_cache(model: Any) -> None:
    """Let the matrix library keep few compiled kernels.

    It keeps up to 1,024, one for each length of input it has seen and 1.3 MiB each: a long
    recording would fill a gigabyte with them. The library reads its setting when it compiles its
    first kernel, so one short encoding is done here and the process's environment is left as it
    was found; a user's own setting stands.
    """
    import ctranslate2

    if _KERNEL_CACHE in os.environ:
        return
    os.environ[_KERNEL_CACHE] = str(_KERNELS)
    try:
        silence = np.zeros((1, WHISPER_MELS, SAMPLE_RATE_HZ // WHISPER_HOP_SAMPLES), np.float32)
        model.encode(ctranslate2.StorageView.from_array(silence), to_cpu=False)
    finally:
        del os.environ[_KERNEL_CACHE]


def compute_type(compute: str, device: str) -> str:
    """What ``auto`` means on the device. Raises OptionInvalid for a word nobody knows."""
    if compute not in COMPUTE_TYPES:
        raise OptionInvalid(f"compute is {compute}; allowed are {', '.join(COMPUTE_TYPES)}.")
    if compute != "auto":
        return compute
    return "float16" if device.startswith("cuda") else "int8"


def start_all(pool: ThreadPoolExecutor, count: int) -> None:
    """Each thread waits for all, so that none does the work of two."""
    barrier = threading.Barrier(count)
    try:
        for started in [pool.submit(barrier.wait) for _ in range(count)]:
            started.result()
    except BaseException:
        barrier.abort()  # those that are there wait for ever else, and the program for them
        raise
