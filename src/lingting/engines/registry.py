"""Names to engines: a literal table; each loader imports its own engine, and only then.

A model is named by its catalogue name, by a folder, whose files tell what it is, or by the address
of a server. PyTorch is not imported for Whisper, CTranslate2 not for anything else.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lingting.engines.base import Engine
from lingting.engines.guarded import GuardedEngine
from lingting.errors import (
    ExtraMissing,
    ModelNotInstalled,
    ModelUnknown,
    OptionInvalid,
    WeightsInvalid,
)
from lingting.transcript import ModelFacts

Loader = Callable[[Path, ModelFacts, str, str, int | None], Engine]

EMBEDDED = "whisper-base"
"""What is fetched when nothing is installed: small, and runs without any extra."""

_DEVICES = ("auto", "cpu", "cuda")
_WEIGHTS = ("model.pt", "model.safetensors", "model.safetensors.index.json")
_CONFIGS = ("config.yaml", "config.json")
_MOST_CONFIG_BYTES = 1 << 20


def _load_whisper(
    folder: Path, facts: ModelFacts, device: str, compute: str, threads: int | None
) -> Engine:
    from lingting.engines.whisper import WhisperEngine

    chosen = choose_device(device)
    return WhisperEngine(folder, model=facts, device=chosen, compute=compute, threads=threads)


def _load_nano(
    folder: Path, facts: ModelFacts, device: str, compute: str, threads: int | None
) -> Engine:
    from lingting.engines.nano.engine import NanoEngine

    return NanoEngine(folder, model=facts, device=device, compute=compute, threads=threads)


def _load_sensevoice(
    folder: Path, facts: ModelFacts, device: str, compute: str, threads: int | None
) -> Engine:
    from lingting.engines.sensevoice import load

    return load(folder, facts, device, compute, threads)


def _load_funasr(
    folder: Path, facts: ModelFacts, device: str, compute: str, threads: int | None
) -> Engine:
    from lingting.engines.funasr import load

    return load(folder, facts, device, compute, threads)


@dataclass(frozen=True, slots=True)
class Kind:
    """An engine: its name, how it is loaded, and the extra with the packages it needs."""

    name: str
    load: Loader
    extra: str | None = None
    packages: tuple[str, ...] = ()
    """What the extra brings, as it is imported."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Packages that are not installed here; nothing is imported to find out."""
        return tuple(package for package in self.packages if find_spec(package) is None)


WHISPER = Kind("whisper", _load_whisper)
NANO = Kind("nano", _load_nano, "nano", ("torch", "yaml"))
SENSEVOICE = Kind("sensevoice", _load_sensevoice, "nano", ("torch", "sentencepiece", "yaml"))
FUNASR = Kind("funasr", _load_funasr, "funasr", ("torch", "funasr"))


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A catalogue entry that an engine of ours can run."""

    model: str
    kind: Kind
    is_automatic: bool = True
    """``auto`` may take it: not so where it knows one language and would spoil the others."""


# Best first, on a GPU: ``auto`` takes the first one installed.
RECOGNISERS: tuple[Recogniser, ...] = (
    Recogniser("fun-asr-nano", NANO),
    Recogniser("fun-asr-nano-textonly", NANO),
    Recogniser("fun-asr-nano-hf", NANO),
    Recogniser("fun-asr-nano-vllm", NANO),
    Recogniser("fun-asr-mlt-nano", NANO),
    Recogniser("sensevoice-small", SENSEVOICE),
    Recogniser("paraformer-zh", FUNASR, is_automatic=False),
    Recogniser("paraformer-zh-streaming", FUNASR, is_automatic=False),
    Recogniser("whisper-base", WHISPER),
    Recogniser("whisper-base-systran", WHISPER),
)
# On a CPU the same order, but for this one in front: it is many times faster there.
_FIRST_ON_CPU = "sensevoice-small"


def load_engine(
    model: str = "auto",
    *,
    device: str = "auto",
    compute: str = "auto",
    threads: int | None = None,
) -> Engine:
    """A guarded engine for a catalogue name, a model folder or a server's address.

    ``auto`` is the best model installed that can run here, on the best device present. Raises
    ModelUnknown, ModelNotInstalled, WeightsInvalid, OptionInvalid, or ExtraMissing naming the
    extra to install.
    """
    if is_address(model):
        if compute != "auto":
            raise OptionInvalid(f"compute is {compute}; a server chooses its own.", "Leave it out.")
        from lingting.engines.remote import load_guarded

        return load_guarded(model)
    from lingting import models

    for recogniser in RECOGNISERS:
        if recogniser.model == model:
            check_packages(recogniser.kind)  # said before the missing model: it is needed first
    name = _best_installed(device) if model == "auto" else model
    resolved = models.resolve(name)
    facts = ModelFacts(id=resolved.id, sha256=resolved.sha256)
    kind = kind_of(resolved.id, resolved.path)
    check_packages(kind)
    return GuardedEngine(kind.load(resolved.path, facts, device, compute, threads))


def check_packages(kind: Kind) -> None:
    """Raises ExtraMissing, naming the extra, when the engine's packages are not installed."""
    if kind.missing:
        raise ExtraMissing(
            f"The engine {kind.name} needs {', '.join(kind.missing)}, which is not installed.",
            f'Run `pip install "lingting[{kind.extra}]"`.',
        )


def is_address(model: str) -> bool:
    """Whether a model is a server that somebody else runs."""
    from lingting.engines import remote

    return remote.is_address(model)


def automatic_models(device: str = "auto") -> list[str]:
    """What ``auto`` may take on this device, best first, as far as its packages are here."""
    names = [one.model for one in RECOGNISERS if one.is_automatic and not one.kind.missing]
    is_gpu = device.startswith(("cuda", "mps")) or (device == "auto" and sees_cuda())
    if not is_gpu and _FIRST_ON_CPU in names:
        names.remove(_FIRST_ON_CPU)
        names.insert(0, _FIRST_ON_CPU)
    return names


def choose_device(device: str) -> str:
    """For CTranslate2: ``auto`` becomes CUDA where it sees one, else the CPU."""
    if device not in _DEVICES:
        raise OptionInvalid(f"device is {device}; allowed are auto, cpu and cuda.")
    if device != "auto":
        return device
    import ctranslate2

    return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"


def sees_cuda() -> bool:
    """Whether the driver shows a GPU; neither PyTorch nor CTranslate2 is loaded to find out."""
    count = ctypes.c_int(0)
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        is_ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        return is_ready and count.value > 0
    return False


def kind_of(model: str, folder: Path | None = None) -> Kind:
    """The engine of a catalogue entry, or of what lies in a folder.

    Raises ModelUnknown, and WeightsInvalid for a folder that holds weights and no configuration.
    """
    for recogniser in RECOGNISERS:
        if recogniser.model == model:
            return recogniser.kind
    found = None if folder is None else _kind_of_folder(folder)
    if found is not None:
        return found
    if folder is not None and _has_any(folder, _WEIGHTS) and not _has_any(folder, _CONFIGS):
        raise WeightsInvalid(
            f"The model folder has no {' or '.join(_CONFIGS)}, which says what model it is.",
            "Give the folder all of the model's files lie in, or fetch the model again.",
        )
    raise ModelUnknown(
        "This version has no engine for that model.",
        f"Use one of: {', '.join(r.model for r in RECOGNISERS)}.",
    )


def _has_any(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def _kind_of_folder(folder: Path) -> Kind | None:
    """By its files, and by what its configuration calls the model."""
    if (folder / "model.bin").is_file():  # a CTranslate2 folder
        return WHISPER
    config = _config_text(folder)
    if any(word in config for word in ("FunASRNano", "fun_asr_nano", "FunASRForConditional")):
        return NANO
    if "SenseVoiceSmall" in config:
        return SENSEVOICE
    from lingting.engines.funasr import is_toolkit_folder

    return FUNASR if is_toolkit_folder(folder) else None


def _config_text(folder: Path) -> str:
    for name in _CONFIGS:
        with suppress(OSError), (folder / name).open("rb") as file:
            return file.read(_MOST_CONFIG_BYTES).decode("utf-8", errors="replace")
    return ""


def _best_installed(device: str) -> str:
    from lingting import models

    for name in automatic_models(device):
        try:
            models.path(name)
        except ModelNotInstalled:
            continue
        return name
    raise ModelNotInstalled(
        "No recognition model is installed.", f"Run `lingting models pull {EMBEDDED} fsmn-vad`."
    )
