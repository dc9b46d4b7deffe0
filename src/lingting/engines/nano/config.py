"""Sizes of a Fun-ASR-Nano checkpoint, out of whichever configuration its publisher wrote.

Four kinds are known. ``config.yaml`` of the toolkit and ``config.json`` of the vLLM conversion
name the parts alike (``audio_encoder_conf`` …); the Hugging Face conversions wrote two generations
of ``config.json`` (``encoder_config``, later ``audio_config`` and ``adaptor_config``). The language
model is described in Qwen3's own terms in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lingting.engines.nano.adaptor import AdaptorConfig
from lingting.engines.nano.decoder import Qwen3Config
from lingting.engines.neural.documents import read_document
from lingting.engines.neural.sanm import SanmConfig
from lingting.engines.neural.tensors import invalid

_MELS, _STACKED, _STEP, _RATE_HZ = 80, 7, 6, 16_000
_PORT_EPS = 1e-5  # of every LayerNorm in the Hugging Face port; the toolkit's adaptor has 1e-12


@dataclass(frozen=True, slots=True)
class CtcConfig:
    """The branch that tells when each word was said."""

    decoder: AdaptorConfig
    classes: int = 60_515
    blank: int = 60_514


@dataclass(frozen=True, slots=True)
class NanoConfig:
    """Everything the modules are built from."""

    encoder: SanmConfig
    adaptor: AdaptorConfig
    decoder: Qwen3Config
    ctc: CtcConfig | None = None


def parse_config(path: Path, language_model: Path | None = None) -> NanoConfig:
    """The configuration in ``config.yaml`` or ``config.json``.

    ``language_model`` is Qwen3's own ``config.json``, for those that do not hold its sizes
    themselves. Raises WeightsInvalid naming the file and what is wrong with it.
    """
    document = _Part(path, "", read_document(path))
    if "audio_encoder_conf" in document:
        return _toolkit(document, _qwen_part(document, language_model))
    for key in ("audio_config", "encoder_config"):
        if key in document:
            return _port(document, document.part(key))
    raise invalid(path, "it describes no Fun-ASR-Nano model")


@dataclass(frozen=True, slots=True)
class _Part:
    """One section of a configuration; asks for numbers by name."""

    path: Path
    name: str
    values: Mapping[str, Any]

    def __contains__(self, key: object) -> bool:
        return key in self.values

    def part(self, key: str) -> _Part:
        """A section; an absent one is empty, so that its numbers take their defaults."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            raise invalid(self.path, f"{key} is no section")
        return _Part(self.path, f"{self.name}{key}.", value or {})

    def size(self, key: str, default: int, least: int = 1) -> int:
        value = self.values.get(key, default)
        if type(value) is not int or not least <= value <= 1 << 24:
            raise invalid(self.path, f"{self.name}{key} must be a whole number from {least}")
        return value

    def first_size(self, keys: tuple[str, ...], default: int) -> int:
        """The first of several names for the same number."""
        return self.size(next((key for key in keys if key in self), keys[0]), default)

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        if isinstance(value, str):  # YAML reads 1e-12 as a text
            try:
                value = float(value)
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise invalid(self.path, f"{self.name}{key} must be a number above 0")
        return float(value)

    def needs(self, key: str, default: int, only: int) -> None:
        """A setting of which we have only one."""
        if self.size(key, default, least=0) != only:
            raise invalid(self.path, f"{self.name}{key} is not {only}, the only one we can run")


def _qwen_part(document: _Part, language_model: Path | None) -> _Part:
    """Where the language model's sizes are: in a section, in the document, or in its own file."""
    for key in ("text_config", "llm_config"):
        if key in document:
            return document.part(key)
    if "hidden_size" in document and "num_hidden_layers" in document:
        return document
    if language_model is None:
        raise invalid(document.path, "it does not describe the language model")
    return _Part(language_model, "", read_document(language_model))


def _qwen(part: _Part) -> Qwen3Config:
    kind = part.values.get("model_type", "qwen3")
    # The vLLM conversion writes its own type beside Qwen3's sizes.
    if kind != "qwen3" and "audio_encoder_conf" not in part:
        raise invalid(part.path, f"{part.name}model_type is not qwen3")
    rope = part.part("rope_parameters")
    if rope.values.get("rope_type", "default") != "default" or part.values.get("rope_scaling"):
        raise invalid(part.path, f"{part.name}rope_scaling is not one we can run")
    hidden = part.size("hidden_size", 1024)
    heads = part.size("num_attention_heads", 16)
    return Qwen3Config(
        vocab_size=part.size("vocab_size", 151_936),
        hidden_size=hidden,
        intermediate_size=part.size("intermediate_size", 3072),
        num_hidden_layers=part.size("num_hidden_layers", 28),
        num_attention_heads=heads,
        num_key_value_heads=part.size("num_key_value_heads", 8),
        head_dim=part.size("head_dim", 128),
        rope_theta=rope.number("rope_theta", part.number("rope_theta", 1e6)),
        rms_norm_eps=part.number("rms_norm_eps", 1e-6),
        max_position_embeddings=part.size("max_position_embeddings", 40_960),
        tie_word_embeddings=True,  # the weights decide, see layout.py
    )


def _toolkit(document: _Part, qwen: _Part) -> NanoConfig:
    decoder = _qwen(qwen)
    frontend = document.part("frontend_conf")
    frontend.needs("fs", _RATE_HZ, _RATE_HZ)
    frontend.needs("n_mels", _MELS, _MELS)
    frontend.needs("lfr_m", _STACKED, _STACKED)
    frontend.needs("lfr_n", _STEP, _STEP)
    encoder = document.part("audio_encoder_conf")
    sanm = SanmConfig(
        input_size=_MELS * _STACKED,
        output_size=encoder.size("output_size", 512),
        attention_heads=encoder.size("attention_heads", 4),
        linear_units=encoder.size("linear_units", 2048),
        num_blocks=encoder.size("num_blocks", 50),
        tp_blocks=encoder.size("tp_blocks", 20, least=0),
        kernel_size=encoder.size("kernel_size", 11),
        # Spelt so by the toolkit.
        sanm_shift=encoder.size("sanm_shfit", encoder.size("sanm_shift", 0, least=0), least=0),
    )
    adaptor = document.part("audio_adaptor_conf")
    ctc = None
    if document.values.get("ctc_decoder"):
        classes = document.size("ctc_vocab_size", 60_515)
        blank = document.part("ctc_conf").size("blank_id", classes - 1, least=0)
        branch = document.part("ctc_decoder_conf")
        ctc = CtcConfig(
            _adaptor(branch, sanm.output_size, branch.size("llm_dim", 512), blocks=5),
            classes,
            blank,
        )
    return NanoConfig(
        sanm, _adaptor(adaptor, sanm.output_size, decoder.hidden_size, blocks=2), decoder, ctc
    )


def _adaptor(part: _Part, input_size: int, output_size: int, blocks: int) -> AdaptorConfig:
    """The toolkit takes both widths from the modules beside it, not from this section."""
    part.needs("downsample_rate", 1, 1)
    return AdaptorConfig(
        input_size=input_size,
        projector_size=part.size("ffn_dim", 2048),
        output_size=output_size,
        attention_heads=part.size("attention_heads", 8),
        linear_units=output_size // 4,
        num_blocks=part.size("n_layer", blocks, least=0),
    )


def _port(document: _Part, encoder: _Part) -> NanoConfig:
    """Every generation of the Hugging Face conversion; only names changed between them."""
    encoder.needs("num_mel_bins", _MELS, _MELS)
    encoder.needs("num_stacked_frames", _STACKED, _STACKED)
    decoder = _qwen(document.part("text_config"))
    num_blocks, tp_blocks = _port_layers(encoder)
    sanm = SanmConfig(
        input_size=_MELS * _STACKED,
        output_size=encoder.first_size(("hidden_size", "d_model"), 512),
        attention_heads=encoder.first_size(("num_attention_heads", "encoder_attention_heads"), 4),
        linear_units=encoder.first_size(("intermediate_size", "encoder_ffn_dim"), 2048),
        num_blocks=num_blocks,
        tp_blocks=tp_blocks,
        kernel_size=encoder.first_size(("fsmn_kernel_size", "kernel_size"), 11),
        sanm_shift=0,
    )
    apart = document.part("adaptor_config")  # the first generation had adaptor_… in the document
    adaptor = AdaptorConfig(
        input_size=sanm.output_size,
        projector_size=apart.size(
            "projector_hidden_size", document.size("adaptor_intermediate_size", 2048)
        ),
        output_size=decoder.hidden_size,
        attention_heads=apart.size(
            "num_attention_heads", document.size("adaptor_num_attention_heads", 8)
        ),
        linear_units=apart.size("intermediate_size", decoder.hidden_size // 4),
        num_blocks=apart.size(
            "num_hidden_layers", document.size("adaptor_num_hidden_layers", 2, least=0), least=0
        ),
        layer_norm_eps=apart.number("layer_norm_eps", _PORT_EPS),
    )
    return NanoConfig(sanm, adaptor, decoder)


def _port_layers(encoder: _Part) -> tuple[int, int]:
    """Layers for the text and for times; where both are called layers, the first counts both."""
    if "num_timestamp_prediction_layers" in encoder:
        tp_blocks = encoder.size("num_timestamp_prediction_layers", 20, least=0)
        num_blocks = encoder.size("num_hidden_layers", 70) - tp_blocks
    else:
        tp_blocks = encoder.size("num_timestamp_prediction_blocks", 20, least=0)
        num_blocks = encoder.first_size(("num_hidden_layers", "encoder_layers"), 50)
    if num_blocks < 1:
        raise invalid(encoder.path, f"{encoder.name}num_hidden_layers is too small")
    return num_blocks, tp_blocks
