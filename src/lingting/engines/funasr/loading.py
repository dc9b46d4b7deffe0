"""A model folder of the toolkit, built by the toolkit's classes and filled by us.

The folder is read here, not by the toolkit: it would take a name for a hub's, follow paths out of
the folder, install requirements and import code. Its classes are then built as its own loader
builds them. The weights are filled in here as well: the toolkit's loader prints a warning for a
tensor that is missing, ignores one of another shape, and goes on with random values.

Layout: ``config.yaml`` (``model``, ``model_conf``, ``encoder`` …, ``tokenizer``, ``frontend``) and
``configuration.json``, whose ``file_path_metas`` says which file is which; without it the usual
names count: ``model.pt``, ``tokens.json``, ``am.mvn``, ``seg_dict``, ``bpe.model``.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingting.engines.funasr.fence import FENCE
from lingting.errors import ExtraMissing, LingtingError, OptionInvalid, WeightsInvalid

PUNCTUATION_CLASSES = frozenset({"CTTransformer", "CTTransformerStreaming"})
VOICE_CLASSES = frozenset({"CAMPPlus", "ERes2Net", "ERes2NetV2"})
_OWN_ENGINE = frozenset({"FunASRNano"})
_NO_RECOGNISER = frozenset({"FsmnVADStreaming", "SileroVad", "MonotonicAligner", "Emotion2vec"})
_USUAL_NAMES: tuple[tuple[str | None, str, str], ...] = (
    (None, "init_param", "model.pt"),
    ("tokenizer_conf", "token_list", "tokens.txt"),
    ("tokenizer_conf", "token_list", "tokens.json"),
    ("tokenizer_conf", "seg_dict", "seg_dict"),
    ("tokenizer_conf", "bpemodel", "bpe.model"),
    ("frontend_conf", "cmvn_file", "am.mvn"),
    (None, "jieba_usr_dict", "jieba_usr_dict"),
)
# What a folder may not decide: where files and code come from, and how the process is set up.
_NOT_THEIRS = frozenset(
    {
        *("trust_remote_code", "remote_code", "hub", "model_path", "model_revision", "ngpu"),
        *("device", "ncpu", "seed", "output_dir", "log_level", "disable_log", "oss_bucket"),
        *("vad_model", "punc_model", "spk_model", "fp16", "bf16", "batch_size", "excludes"),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model of the toolkit, ready to be asked."""

    name: str
    """Its class in the toolkit's registry, such as ``SenseVoiceSmall``."""
    module: Any
    settings: dict[str, Any]
    """What its ``inference`` wants to be given: tokenizer, frontend, device, configuration."""
    device: str


def is_toolkit_folder(folder: Path) -> bool:
    """Whether a folder looks like one of the toolkit's."""
    return (folder / "config.yaml").is_file() and _weights_named(folder) is not None


def load_model(
    folder: Path,
    *,
    device: str,
    compute: str,
    wanted: frozenset[str] | None = None,
) -> Loaded:
    """Build and fill the model of ``folder``.

    ``wanted`` are the classes that will do; None: any recogniser. Raises ExtraMissing,
    OptionInvalid (device, compute, another kind of model) or WeightsInvalid.
    """
    _require_toolkit()
    chosen = _device(device)
    _check_compute(compute)
    config, weights = read_folder(folder)
    name = str(config["model"])
    _check_kind(name, wanted)
    with FENCE.loading() as visit:
        try:
            module, settings = _build(config, chosen)
            _fill(module, weights, config.get("scope_map"))
        except LingtingError:
            raise
        except Exception as exc:  # the toolkit raises whatever its parts raise
            root = visit.cause or exc
            raise WeightsInvalid(
                f"The toolkit cannot build its model {name[:60]}: {type(root).__name__}.",
                "Fetch the model again, or try a newer funasr package.",
            ) from root
    frontend: Any = settings.get("frontend")
    if hasattr(frontend, "dither"):
        frontend.dither = 0.0  # its default adds noise, other features at every call
    return Loaded(name, module, settings, chosen)


def read_folder(folder: Path) -> tuple[dict[str, Any], Path]:
    """The configuration with absolute paths of its files, and the file of the weights.

    Every file must lie inside the folder. Raises WeightsInvalid.
    """
    from omegaconf import OmegaConf

    folder = folder.resolve()
    metas = _metas(folder)
    yaml = _inside(folder, metas.get("config", "config.yaml"))
    if yaml is None:
        raise WeightsInvalid("The model folder has no config.yaml.")
    try:
        read = OmegaConf.to_container(OmegaConf.load(yaml), resolve=True)
    except Exception as exc:  # omegaconf's own errors and yaml's
        raise WeightsInvalid("config.yaml of the model cannot be read.") from exc
    if not isinstance(read, dict) or not isinstance(read.get("model"), str):
        raise WeightsInvalid("config.yaml of the model names no model class.")
    config = {str(key): value for key, value in read.items() if key not in _NOT_THEIRS}
    for section, key, usual in _USUAL_NAMES:
        path = _inside(folder, usual)
        if path is not None:
            _place(config, section, key, str(path))
    _place_metas(folder, config, metas)
    weights = config.pop("init_param", None)
    path = _inside(folder, weights) if weights is not None else None
    if path is None:
        raise WeightsInvalid("The model folder has no file of weights, such as model.pt.")
    return config, path


def _weights_named(folder: Path) -> Path | None:
    try:
        named = _metas(folder).get("init_param", "model.pt")
        return _inside(folder.resolve(), named)
    except WeightsInvalid:
        return None


def _metas(folder: Path) -> dict[str, Any]:
    """``file_path_metas`` of configuration.json; empty without one."""
    path = folder / "configuration.json"
    if not path.is_file():
        return {}
    try:
        metas = json.loads(path.read_text(encoding="utf-8")).get("file_path_metas", {})
    except (ValueError, AttributeError, RecursionError, OSError) as exc:
        raise WeightsInvalid("configuration.json of the model cannot be read.") from exc
    return metas if isinstance(metas, dict) else {}


def _inside(folder: Path, name: Any) -> Path | None:
    """The file of that name in the folder; None when it is not there."""
    if not isinstance(name, str) or not name:
        return None
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise WeightsInvalid("The model's configuration names a file outside its folder.")
    return path if path.is_file() else None


def _place(config: dict[str, Any], section: str | None, key: str, value: str) -> None:
    if section is None:
        config[key] = value
        return
    inner = config.get(section)
    if isinstance(inner, dict):  # a model without a tokenizer has no tokenizer_conf either
        inner[key] = value


def _place_metas(folder: Path, config: dict[str, Any], metas: Mapping[str, Any]) -> None:
    for key, value in metas.items():
        if isinstance(value, dict):
            inner = config.setdefault(key, {})
            if isinstance(inner, dict):
                _place_metas(folder, inner, value)
        elif key != "config":
            path = _inside(folder, value)
            if path is not None:
                config[key] = str(path)


def _require_toolkit() -> None:
    for package in ("torch", "funasr"):
        if importlib.util.find_spec(package) is None:
            raise ExtraMissing(
                f"This model needs the package {package}, which is not installed.",
                "Run `pip install lingting[funasr]`.",
            )


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device != "cpu" and device.split(":")[0] != "cuda":
        raise OptionInvalid(f"device is {device}; the toolkit's models run on cpu and cuda.")
    if device != "cpu" and not torch.cuda.is_available():
        raise OptionInvalid(f"The device {device} cannot be used.", "Try --device cpu.")
    return device


def _check_compute(compute: str) -> None:
    if compute not in ("auto", "float32", "fp32"):
        raise OptionInvalid(
            f"compute is {compute}; the toolkit computes features and models in float32.",
            "Leave --compute out.",
        )


def _check_kind(name: str, wanted: frozenset[str] | None) -> None:
    if wanted is not None and name not in wanted:
        raise OptionInvalid(
            f"The model is a {name[:60]}; allowed here are {', '.join(sorted(wanted))}."
        )
    if wanted is None and name in _OWN_ENGINE:
        raise OptionInvalid(
            "Fun-ASR-Nano is not run through the toolkit.",
            "It has an engine of its own: give its folder or name to --model.",
        )
    if wanted is None and name in PUNCTUATION_CLASSES | VOICE_CLASSES | _NO_RECOGNISER:
        raise OptionInvalid(f"The model is a {name}, which recognises no speech.")


def _build(config: dict[str, Any], device: str) -> tuple[Any, dict[str, Any]]:
    """The toolkit's own construction, without weights: those it would take loosely."""
    import torch
    from funasr.auto.auto_model import AutoModel

    options = {
        **config,
        "model_conf": config.get("model_conf") or {},  # present: nothing is asked of a hub
        "init_param": None,
        "trust_remote_code": False,
        "device": device,
        "ncpu": torch.get_num_threads(),  # what it is already, so it stays
        "disable_log": True,
        "disable_pbar": True,
    }
    return AutoModel.build_model(**options)  # type: ignore[no-any-return]


def _fill(module: Any, path: Path, scope_map: Any) -> None:
    """Every parameter gets its tensor. Raises WeightsInvalid naming file and tensor.

    Buffers may be missing: batch normalisation counts what it saw in one, old files lack it.
    Tensors that the model has no place for are left: trainers save heads and losses with it.
    """
    import torch

    shapes, read = _weights(path)
    state = module.state_dict()
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    sources: dict[str, str] = {}
    for name, target in state.items():
        source = _source(name, shapes, scope_map)
        if source is None:
            if name in parameters:
                raise _invalid(path, f"the tensor {name} is missing")
            continue
        if shapes[source] != tuple(target.shape):
            raise _invalid(
                path,
                f"the tensor {source} is {list(shapes[source])}, not {list(target.shape)}",
            )
        sources[name] = source
    with torch.no_grad():
        for name, source in sources.items():
            state[name].copy_(read(source))


def _weights(path: Path) -> tuple[dict[str, tuple[int, ...]], Any]:
    """Shapes by name and a reader; nothing in the file is executed."""
    import torch

    from lingting.engines.neural.checkpoints import open_tensors

    with path.open("rb") as stream:
        is_old_pickle = stream.read(2) == b"\x80\x02"
    if not is_old_pickle:
        tensors = open_tensors(path)
        return {name: tuple(tensors.shape(name)) for name in tensors.names()}, tensors.read
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # a hostile pickle can fail in any way
        raise _invalid(path, "it holds more than tensors, or is damaged") from exc
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise _invalid(path, "it holds no tensors by name")
    found = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    return {name: tuple(value.shape) for name, value in found.items()}, found.__getitem__


def _source(name: str, known: Mapping[str, Any], scope_map: Any) -> str | None:
    """The name a parameter has in the file: its own, or with one prefix in place of another.

    ``scope_map`` of config.yaml lists pairs (prefix in the file, prefix in the model); ``None``
    stands for an empty one. ``module.`` in the file is what data-parallel training leaves.
    """
    pairs = [str(one) for one in scope_map] if isinstance(scope_map, list | tuple) else []
    pairs += ["module.", "None"]
    found = name if name in known else None
    for theirs, ours in zip(pairs[0::2], pairs[1::2], strict=False):
        theirs = "" if theirs.lower() == "none" else theirs
        ours = "" if ours.lower() == "none" else ours
        if name.startswith(ours) and theirs + name[len(ours) :] in known:
            found = theirs + name[len(ours) :]
    return found


def _invalid(path: Path, what: str) -> WeightsInvalid:
    return WeightsInvalid(f"{path.name} cannot be used: {what}.")
