"""What FunASR scripts call things, in our terms: hub names of models, precisions, remote code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lingting.errors import OptionInvalid

_MODELSCOPE, _HUGGING_FACE = "modelscope", "huggingface"
_HUBS = {
    "ms": _MODELSCOPE,
    "modelscope": _MODELSCOPE,
    "hf": _HUGGING_FACE,
    "huggingface": _HUGGING_FACE,
}
_NANO_NAMES = frozenset({
    "funaudiollm/fun-asr-nano-2512", "fun-asr-nano-2512", "fun-asr-nano",
})  # fmt: skip
_MODELS = {
    "FunAudioLLM/Fun-ASR-Nano-2512-hf": "fun-asr-nano-hf",
    "FunAudioLLM/Fun-ASR-Nano-2512-vllm": "fun-asr-nano-vllm",
    "FunAudioLLM/Fun-ASR-MLT-Nano-2512": "fun-asr-mlt-nano",
    "Fun-ASR-MLT-Nano-2512": "fun-asr-mlt-nano",
    "iic/SenseVoiceSmall": "sensevoice-small",
    "FunAudioLLM/SenseVoiceSmall": "sensevoice-small",
    "SenseVoiceSmall": "sensevoice-small",
    "sensevoice": "sensevoice-small",
    "paraformer": "paraformer-zh",
    "funasr/paraformer-zh": "paraformer-zh",
    "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch":
        "paraformer-zh",
    "funasr/paraformer-zh-streaming": "paraformer-zh-streaming",
    "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online":
        "paraformer-zh-streaming",
    "funasr/ct-punc": "ct-punc",
    "ct-punc-c": "ct-punc",
    "iic/punc_ct-transformer_cn-en-common-vocab471067-large": "ct-punc",
    "funasr/campplus": "cam++",
    "iic/speech_campplus_sv_zh-cn_16k-common": "cam++",
    "funasr/fsmn-vad": "fsmn-vad",
    "iic/speech_fsmn_vad_zh-cn-16k-common-pytorch": "fsmn-vad",
}  # fmt: skip
_KNOWN = {name.lower(): model for name, model in _MODELS.items()}
_COMPUTE = {
    "bf16": "bfloat16",
    "bfloat16": "bfloat16",
    "fp32": "float32",
    "float32": "float32",
    "fp16": "float16",
    "float16": "float16",
    "half": "float16",
    "int8": "int8",
}
PRECISION_OPTIONS = frozenset({"bf16", "dtype", "fp16", "llm_dtype"})
CODE_OPTIONS = frozenset({"remote_code", "trust_remote_code"})


def model_name(name: str, hub: Any = None) -> str:
    """The catalogue's name for a model of a hub; a folder and any other name stay as they are.

    Under Fun-ASR-Nano's name the two hubs publish different checkpoints: ModelScope's, which FunASR
    takes by default, can time its words, Hugging Face's cannot. Raises OptionInvalid for a hub
    that does not exist.
    """
    source = _HUBS.get(str(hub or "ms").lower())
    if source is None:
        raise OptionInvalid(f"hub is {str(hub)[:40]}; allowed are ms and hf.")
    if Path(name).expanduser().is_dir():
        return name
    if name.lower() in _NANO_NAMES:
        return "fun-asr-nano" if source == _MODELSCOPE else "fun-asr-nano-textonly"
    return _KNOWN.get(name.lower(), name)


def precision(compute: str, options: Mapping[str, Any], *, for_float16: str) -> str:
    """``compute``, or what ``dtype``, ``fp16`` and ``bf16`` ask for.

    A model that leaves the range of float16 gets ``for_float16`` in its place, with a warning; only
    ``compute="float16"`` itself is refused, when the model is loaded. Raises OptionInvalid.
    """
    wishes = {
        _dtype(name, options[name])
        for name in ("dtype", "llm_dtype")
        if options.get(name) is not None
    }
    wishes |= {
        _COMPUTE[name] for name in ("bf16", "fp16") if options.get(name) not in (None, False)
    }
    if compute != "auto":
        wishes.add(_COMPUTE.get(compute, compute))
    if len(wishes) > 1:
        raise OptionInvalid(
            f"The options ask for {' and '.join(sorted(wishes))} at once.", "Leave one of them."
        )
    if not wishes:
        return "auto"
    wish = wishes.pop()
    if wish != "float16" or compute != "auto" or for_float16 == "float16":
        return wish
    warnings.warn(
        f"This model leaves the range of float16 and writes '!!!!'; {for_float16} is used instead.",
        stacklevel=3,
    )
    return for_float16


def warn_of_code(options: Mapping[str, Any]) -> None:
    """Scripts that allow a model to bring code are told that none of it is run."""
    if options.get("trust_remote_code") or options.get("remote_code"):
        warnings.warn(
            "No code of a model is ever run here; trust_remote_code and remote_code do nothing.",
            stacklevel=3,
        )


def _dtype(name: str, value: Any) -> str:
    """A text or one of PyTorch's own types."""
    found = _COMPUTE.get(str(value).removeprefix("torch.").lower())
    if found is None:
        raise OptionInvalid(f"{name} is {str(value)[:40]}; allowed are bf16, fp32, fp16 and int8.")
    return found
