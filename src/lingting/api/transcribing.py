"""One recording to one transcript, with a model that is loaded once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lingting.audio import SAMPLE_RATE_HZ
from lingting.errors import LingtingError
from lingting.pipeline import PipelineOptions, Script, Source, Transcriber
from lingting.transcript import Transcript

if TYPE_CHECKING:
    from lingting.engines.base import Engine

_VAD_MODEL = "fsmn-vad"

_lock = threading.Lock()
_loaded: dict[tuple[str, str, str], Transcriber] = {}


def load(
    model: str = "auto",
    *,
    device: str = "auto",
    compute: str = "auto",
    threads: int | None = None,
    punctuation: str | None = None,
    options: PipelineOptions | None = None,
) -> Transcriber:
    """A recogniser and a speech detector, ready for many recordings.

    ``model`` is a name of the catalogue, a folder, the address of a server (``http://host/v1``,
    with ``#model`` where it has several), or ``auto``: the best one installed. A model of the
    catalogue that is not here is pulled first, unless ``LINGTING_OFFLINE=1``. ``threads=None``
    takes ``LINGTING_THREADS`` or all cores. ``punctuation`` is ``ct-punc`` or a folder that holds
    it: marks for Paraformer, which writes none; models that write their own are left alone.

    Raises ModelUnknown, ModelNotInstalled, WeightsInvalid, SourceUnreachable, OptionInvalid or
    ExtraMissing.
    """
    from lingting import models
    from lingting.config import settings
    from lingting.engines.registry import (
        EMBEDDED,
        RECOGNISERS,
        automatic_models,
        check_packages,
        kind_of,
        load_engine,
    )
    from lingting.vad.fsmn import FsmnVad

    if model == "auto" and not any(_is_installed(name) for name in automatic_models(device)):
        models.ensure(EMBEDDED)
    elif model in {recogniser.model for recogniser in RECOGNISERS}:
        check_packages(kind_of(model))
        models.ensure(model)
    threads = settings().threads if threads is None else threads
    engine = load_engine(model, device=device, compute=compute, threads=threads)
    if punctuation is not None and not engine.facts.writes_numbers:
        engine = _punctuated(engine, punctuation, device, threads)
    vad = FsmnVad(models.ensure(_VAD_MODEL))
    return Transcriber(
        engine, vad, options or PipelineOptions(max_duration_s=settings().max_duration_s)
    )


def transcribe(
    source: Any,
    *,
    language: str | None = None,
    model: str = "auto",
    device: str = "auto",
    compute: str = "auto",
    words: bool = False,
    itn: bool = True,
    script: Script = "simplified",
    hotwords: Sequence[str] = (),
    prompt: str | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> Transcript:
    """Recognise one recording, at most ``LINGTING_MAX_DURATION_S`` long.

    ``source`` is a path, bytes, a binary file object or a numpy array (``[n]`` or
    ``[channels, n]`` at ``sample_rate_hz``). ``language`` is a Chinese or English name or an ISO
    code; None detects it. The model stays loaded for the next call; calls from several threads
    take turns.

    Raises an error of ``lingting.errors``: AudioError and its kinds for the recording,
    LanguageUnknown, ModelNotInstalled and others for the request.
    """
    from lingting.config import settings

    options = PipelineOptions(
        language=language,
        words=words,
        itn=itn,
        script=script,
        hotwords=(hotwords,) if isinstance(hotwords, str) else tuple(hotwords),
        prompt=prompt,
        max_duration_s=settings().max_duration_s,
    )
    given = Source(source, sample_rate_hz=sample_rate_hz, options=options)
    with _lock:
        transcriber = _kept(model, device, compute)
        return next(iter(transcriber.transcribe_many([given]))).unwrap()


def _punctuated(engine: Engine, model: str, device: str, threads: int | None) -> Engine:
    """The engine with marks in its texts; it is closed when there can be none."""
    from lingting import models
    from lingting.api.punctuating import PunctuatedEngine
    from lingting.engines.funasr import load_punctuator

    try:
        folder = models.ensure(model) if model in models.catalogue() else Path(model).expanduser()
        if not folder.is_dir():
            models.catalogue().get(model)  # raises ModelUnknown with what was probably meant
        return PunctuatedEngine(engine, load_punctuator(folder, device=device, threads=threads))
    except LingtingError:
        engine.close()
        raise


def _kept(model: str, device: str, compute: str) -> Transcriber:
    """The last transcriber that was asked for; another one takes its place."""
    key = (model, device, compute)
    if key not in _loaded:
        for other in _loaded.values():
            other.close()
        _loaded.clear()
        _loaded[key] = load(model, device=device, compute=compute)
    return _loaded[key]


def _is_installed(name: str) -> bool:
    from lingting import models

    return models.status(name) is models.Status.INSTALLED
