"""Names to engines: a literal table; each loader imports its own engine, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lingting.engines.base import Engine
from lingting.engines.guarded import GuardedEngine
from lingting.errors import ModelNotInstalled, ModelUnknown, OptionInvalid
from lingting.transcript import ModelFacts

Loader = Callable[[Path, ModelFacts, str, str, int | None], Engine]


def _load_whisper(
    folder: Path, facts: ModelFacts, device: str, compute: str, threads: int | None
) -> Engine:
    from lingting.engines.whisper import WhisperEngine

    return WhisperEngine(folder, model=facts, device=device, compute=compute, threads=threads)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A catalogue entry that an engine of ours can run."""

    model: str
    load: Loader


# Best first: ``auto`` takes the first one installed.
RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser("whisper-base", _load_whisper),
    Recogniser("whisper-base-systran", _load_whisper),
)


def load_engine(
    model: str = "auto",
    *,
    device: str = "auto",
    compute: str = "auto",
    threads: int | None = None,
) -> Engine:
    """A guarded engine for a catalogue name or a model folder.

    ``auto`` is the best model installed and the best device present. Raises ModelUnknown,
    ModelNotInstalled, WeightsInvalid or OptionInvalid.
    """
    from lingting import models

    name = _best_installed() if model == "auto" else model
    resolved = models.resolve(name)
    facts = ModelFacts(id=resolved.id, sha256=resolved.sha256)
    loader = _loader(resolved.id, resolved.path)
    return GuardedEngine(loader(resolved.path, facts, choose_device(device), compute, threads))


def choose_device(device: str) -> str:
    """``auto`` becomes CUDA where CTranslate2 sees one, else the CPU."""
    if device not in ("auto", "cpu", "cuda"):
        raise OptionInvalid(f"device is {device}; allowed are auto, cpu and cuda.")
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"


def _best_installed() -> str:
    from lingting import models

    for recogniser in RECOGNISERS:
        try:
            models.path(recogniser.model)
        except ModelNotInstalled:
            continue
        return recogniser.model
    first = RECOGNISERS[0].model
    raise ModelNotInstalled(
        "No recognition model is installed.", f"Run `lingting models pull {first} fsmn-vad`."
    )


def _loader(model: str, folder: Path) -> Loader:
    for recogniser in RECOGNISERS:
        if recogniser.model == model:
            return recogniser.load
    if (folder / "model.bin").is_file():  # a CTranslate2 folder given by path
        return _load_whisper
    raise ModelUnknown(
        "This version has no engine for that model.",
        f"Use one of: {', '.join(r.model for r in RECOGNISERS)}.",
    )
