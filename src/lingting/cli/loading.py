"""Models for a command: pulled when they are missing, then loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lingting.cli.display import pull_display, size
from lingting.cli.output import Output
from lingting.errors import LanguageUnsupported, ModelUnknown

if TYPE_CHECKING:
    from lingting.engines.base import Engine, EngineFacts
    from lingting.models import Model
    from lingting.pipeline import PipelineOptions, Transcriber
    from lingting.vad.fsmn import FsmnVad

VAD_MODEL = "fsmn-vad"


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """Which recogniser, and on what."""

    model: str = "auto"
    device: str = "auto"
    compute: str = "auto"
    threads: int | None = None


def load_transcriber(
    output: Output, request: EngineRequest, options: PipelineOptions
) -> Transcriber:
    """Ready to recognise. Missing models are pulled first and said so."""
    from lingting.pipeline import Transcriber

    check_runnable(request.model)
    make_ready(output, request.model, request.device)
    make_ready(output, VAD_MODEL)
    vad = load_vad()
    engine = load_recogniser(request)
    facts = engine.facts
    output.detail(f"model {facts.model.id}, {facts.model.compute}, on {facts.device}")
    _check_language(options.language, facts)
    return Transcriber(engine, vad, options)


def check_runnable(model: str) -> None:
    """Before gigabytes are fetched that nothing here can run, or anything for a misspelt name."""
    from lingting import models
    from lingting.engines.registry import RECOGNISERS, check_packages, is_address, kind_of

    if is_address(model):
        return
    ours = [recogniser.model for recogniser in RECOGNISERS]
    is_named = model == "auto" or model in models.catalogue()
    if not is_named and not Path(model).expanduser().is_dir():
        models.catalogue().get(model)  # raises ModelUnknown with what was probably meant
    if model in models.catalogue() and models.catalogue().get(model).id not in ours:
        raise ModelUnknown(
            f"This version has no recogniser for {models.catalogue().get(model).id}.",
            f"Use one of: {', '.join(ours)}.",
        )
    if model in models.catalogue():
        check_packages(kind_of(models.catalogue().get(model).id))


def _check_language(language: str | None, facts: EngineFacts) -> None:
    """Once and at the start, and not for every clip of every file."""
    if language is None or facts.languages is None or language in facts.languages:
        return
    raise LanguageUnsupported(f"The model {facts.model.id} does not recognise {language}.")


def load_vad() -> FsmnVad:
    """The detector. Raises ModelNotInstalled or WeightsInvalid."""
    from lingting import models
    from lingting.vad.fsmn import FsmnVad

    return FsmnVad(models.path(VAD_MODEL))


def load_recogniser(request: EngineRequest) -> Engine:
    """The guarded engine."""
    from lingting.config import settings
    from lingting.engines.registry import load_engine

    threads = request.threads if request.threads is not None else settings().threads
    return load_engine(
        request.model, device=request.device, compute=request.compute, threads=threads
    )


def make_ready(output: Output, model: str, device: str = "auto") -> None:
    """Pull a model of the catalogue that is not here; ``auto`` needs any that can run.

    What is pulled, and how large it is, is said first. Raises ModelNotInstalled when
    LINGTING_OFFLINE forbids it, SourceUnreachable when no source answers.
    """
    from lingting import models

    known = models.catalogue()
    name = automatic_model(device) if model == "auto" else model
    if name not in known:
        return  # a folder, an address, or a name that loading refuses with a better sentence
    if models.status(name) in (models.Status.INSTALLED, models.Status.CHANGED):
        return
    pull_one(output, known.get(name))


def pull_one(output: Output, model: Model, *, force: bool = False) -> None:
    """Announce, pull with a display, say where it went."""
    from lingting import models
    from lingting.config import settings

    if settings().offline:
        models.pull(model.id, force=force)  # raises, with the way out
    output.note(f"Fetching the model {model.id} ({size(model.size_bytes)}, {model.licence}) …")
    with pull_display(output) as listener:
        path = models.pull(model.id, force=force, progress=listener)
    output.note(f"{model.id} is in {path}")


def automatic_model(device: str = "auto") -> str:
    """The recogniser that ``auto`` takes: the best one installed, else the embedded one."""
    from lingting import models
    from lingting.engines.registry import EMBEDDED, automatic_models

    ready = (models.Status.INSTALLED, models.Status.CHANGED)
    for name in automatic_models(device):
        if models.status(name) in ready:
            return name
    return EMBEDDED
