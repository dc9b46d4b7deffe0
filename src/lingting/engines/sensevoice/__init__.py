"""SenseVoiceSmall: the SAN-M encoder and one layer of CTC, quick on a CPU.

::

    load      a model folder behind the Engine protocol
    network   encoder, queries and output layer; filled from model.pt
    path      the best CTC path of a clip
    spelling  sentence pieces → text
    labels    tags → language, emotion, sound events

Needs the extra ``lingting[nano]``. Importing this package imports no PyTorch.
"""

from __future__ import annotations

from pathlib import Path

from lingting.engines.base import Engine
from lingting.transcript import ModelFacts

__all__ = ["load"]


def load(
    folder: Path, facts: ModelFacts | None, device: str, compute: str, threads: int | None
) -> Engine:
    """The engine of a folder with model.pt, config.yaml, am.mvn and the sentence-piece model.

    Raises WeightsInvalid or OptionInvalid.
    """
    from lingting.engines.sensevoice.engine import SenseVoiceEngine

    return SenseVoiceEngine(folder, model=facts, device=device, compute=compute, threads=threads)
