"""Every other model of the FunASR toolkit, through the toolkit itself, with its defects contained.

::

    load             a recogniser (Paraformer, SenseVoice, …) behind the Engine protocol
    load_punctuator  ct-punc: text → text
    load_embedder    cam++: samples → 192 values
    fence            what the toolkit does to a process stays inside
    loading          model folders, read and filled strictly
    answers          the toolkit's entries as hypotheses

Needs the extra ``lingting[funasr]``. Nothing of a model folder is executed, nothing is asked of a
network, and one lock per model lets threads share it. Importing this package imports no PyTorch.
"""

from __future__ import annotations

from pathlib import Path

from lingting.engines.funasr.callables import Embedder, Punctuator
from lingting.engines.funasr.engine import FunasrEngine
from lingting.engines.funasr.loading import is_toolkit_folder
from lingting.transcript import ModelFacts

__all__ = [
    "Embedder",
    "FunasrEngine",
    "Punctuator",
    "is_toolkit_folder",
    "load",
    "load_embedder",
    "load_punctuator",
]


def load(
    folder: Path, facts: ModelFacts | None, device: str, compute: str, threads: int | None
) -> FunasrEngine:
    """A recogniser. Raises ExtraMissing, OptionInvalid or WeightsInvalid."""
    return FunasrEngine(folder, model=facts, device=device, compute=compute, threads=threads)


def load_punctuator(
    folder: Path, device: str = "auto", compute: str = "auto", threads: int | None = None
) -> Punctuator:
    """ct-punc. Raises ExtraMissing, OptionInvalid or WeightsInvalid."""
    return Punctuator(folder, device=device, compute=compute, threads=threads)


def load_embedder(
    folder: Path, device: str = "auto", compute: str = "auto", threads: int | None = None
) -> Embedder:
    """cam++. Raises ExtraMissing, OptionInvalid or WeightsInvalid."""
    return Embedder(folder, device=device, compute=compute, threads=threads)
