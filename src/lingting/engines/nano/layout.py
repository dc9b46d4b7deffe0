"""A folder as a Fun-ASR-Nano checkpoint, whoever published it.

=============  =====================================  =========================================
layout         configuration                          tensors
=============  =====================================  =========================================
``original``   config.yaml, Qwen3-0.6B/config.json    model.pt, or safetensors made of it
``vllm``       config.json                            safetensors, the original's names
``converted``  config.json of a Hugging Face layout   safetensors, the original's names
``hf-split``   config.json, two generations           safetensors, encoder in three parts
``hf-flat``    config.json                            safetensors, 70 layers in one list
=============  =====================================  =========================================

The layout is recognised by what is in the files. All hold the same weights, so features are the
same for all: samples at the scale of 16-bit integers, as in training. The Hugging Face port makes
features without that scale. The constant this takes off every log energy is removed by the first
LayerNorm, so only frames quieter than its floor differ; a flag for it would buy nothing.

No code of a checkpoint is ever run, and no path in a configuration leads out of its folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from lingting.engines.nano.adaptor import Adaptor
from lingting.engines.nano.config import CtcConfig, NanoConfig, parse_config
from lingting.engines.nano.ctc import CtcBranch
from lingting.engines.nano.ctc_spelling import CtcSpelling
from lingting.engines.nano.names import CTC_PREFIXES, PREFIXES, canonical_sources, naming_of
from lingting.engines.nano.tokenizer import FILE as TOKENIZER_FILE
from lingting.engines.nano.tokenizer import QwenTokenizer
from lingting.engines.neural.checkpoints import (
    WEIGHT_FILES,
    Tensors,
    check_companions,
    find_weights,
    invalid,
    open_tensors,
)
from lingting.engines.neural.documents import read_document
from lingting.errors import WeightsInvalid

CTC_VOCABULARY = "multilingual.tiktoken"
_QWEN_FOLDER = "Qwen3-0.6B"
_CONFIGS = ("config.yaml", "config.json")
_EMBEDDING, _HEAD = "llm.model.embed_tokens.weight", "llm.lm_head.weight"
_COMPARED_BYTES = 1 << 25

NOTE_CTC_INCOMPLETE = "checkpoint.ctc_incomplete"
NOTE_CTC_VOCABULARY = "checkpoint.ctc_vocabulary_missing"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can be loaded; of the weights only their places have been read."""

    folder: Path
    layout: str
    config: NanoConfig
    tensors: Tensors
    """In the original's names; without the CTC branch when ``has_ctc`` is False."""
    tokenizer: Path
    """The folder with Qwen's ``tokenizer.json``."""
    has_ctc: bool
    """The checkpoint can tell by itself when each word was said."""
    ctc_vocabulary: Path | None = None
    notes: tuple[str, ...] = ()
    """What the checkpoint lacks and can do without."""

    def open_tokenizer(self) -> QwenTokenizer:
        """Raises WeightsInvalid when it is not the tokenizer of this language model."""
        return QwenTokenizer(self.tokenizer, rows=self.config.decoder.vocab_size)

    def open_spelling(self) -> CtcSpelling | None:
        """How the CTC branch spells, where there is one. Raises WeightsInvalid."""
        if not self.has_ctc or self.ctc_vocabulary is None:
            return None
        return CtcSpelling(self.ctc_vocabulary)


@dataclass(frozen=True, slots=True)
class _Files:
    config: Path
    tokenizer: Path
    language_model: Path | None


def open_checkpoint(model: Path | str, *, sha256: str | None = None) -> Checkpoint:
    """A catalogue name or a folder as a checkpoint.

    ``sha256`` is what the weight file must hash to. Files of an installed model are what its
    receipt says, which costs a glance as long as nothing changed. Raises ModelUnknown,
    ModelNotInstalled, or WeightsInvalid naming the file and the tensor.
    """
    folder = _folder(model)
    files = _find(folder)
    tensors = open_tensors(folder, sha256=sha256)
    vocabulary = folder / CTC_VOCABULARY
    used = (files.config, files.tokenizer / TOKENIZER_FILE, files.language_model, vocabulary)
    check_companions(folder, [file for file in used if file is not None])
    naming = naming_of(tensors.names())
    if naming is None:
        raise invalid(tensors.path, "it holds no Fun-ASR-Nano model")
    config = parse_config(files.config, files.language_model)
    tensors = _canonical(tensors, naming, config)
    tensors, config = _settle_head(tensors, config)
    layout = f"hf-{naming}" if naming != "original" else _original_kind(files.config)
    tensors, ctc, notes = _settle_ctc(tensors, config, vocabulary.is_file())
    return Checkpoint(
        folder=folder,
        layout=layout,
        config=replace(config, ctc=ctc),
        tensors=tensors,
        tokenizer=files.tokenizer,
        has_ctc=ctc is not None,
        ctc_vocabulary=vocabulary if vocabulary.is_file() else None,
        notes=notes,
    )


def is_nano_folder(folder: Path) -> bool:
    """Whether a folder's weights are a Fun-ASR-Nano's; never raises for one that is not."""
    try:
        return naming_of(open_tensors(folder).names()) is not None
    except WeightsInvalid:
        return False


def known_languages(sha256: str | None) -> frozenset[str] | None:
    """ISO codes of the published model whose main file has this digest; None for any other."""
    from lingting import models

    for entry in models.catalogue().models:
        main = next(file for file in entry.files if file.path == entry.main)
        if sha256 is not None and main.sha256 == sha256 and entry.languages:
            return frozenset(entry.languages)
    return None


def _folder(model: Path | str) -> Path:
    if isinstance(model, Path):
        return model
    from lingting import models

    return models.resolve(model).path


def _original_kind(config: Path) -> str:
    if config.suffix == ".yaml":
        return "original"
    return "vllm" if "audio_encoder_conf" in read_document(config) else "converted"


def _find(folder: Path) -> _Files:
    """The files of a checkpoint. Raises WeightsInvalid with one sentence on all that is missing."""
    weights = find_weights(folder)
    config = _first(folder, _CONFIGS)
    is_apart = config is None or config.suffix == ".yaml"
    tokenizer = _tokenizer_folder(folder, is_apart)
    language_model: Path | None = None
    missing: list[str] = []
    if weights is None:
        missing.append(" or ".join(WEIGHT_FILES))
    if config is None:
        missing.append(" or ".join(_CONFIGS))
    if tokenizer is None:
        missing.append(f"{_QWEN_FOLDER}/{TOKENIZER_FILE}" if is_apart else TOKENIZER_FILE)
    if config is not None and is_apart:
        language_model = (tokenizer or folder / _QWEN_FOLDER) / "config.json"
        if not language_model.is_file():
            missing.append(f"{language_model.parent.name}/config.json")
    if missing or weights is None or config is None or tokenizer is None:
        raise WeightsInvalid(
            f"The model folder lacks {_listed(missing)}.",
            "Give the folder the model's files lie in, or fetch the model again.",
        )
    return _Files(config, tokenizer, language_model)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _tokenizer_folder(folder: Path, is_apart: bool) -> Path | None:
    """Qwen3-0.6B in the folder, the folder itself, or the only other one with a tokenizer."""
    inner = folder / _QWEN_FOLDER
    for candidate in (inner, folder) if is_apart else (folder, inner):
        if (candidate / TOKENIZER_FILE).is_file():
            return candidate
    others = [found.parent for found in sorted(folder.glob(f"*/{TOKENIZER_FILE}"))]
    return others[0] if len(others) == 1 else None


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _canonical(tensors: Tensors, naming: str, config: NanoConfig) -> Tensors:
    blocks, tp_blocks = config.encoder.num_blocks, config.encoder.tp_blocks
    try:
        sources = canonical_sources(
            tensors.names(),
            naming,  # type: ignore[arg-type]
            blocks,
            tp_blocks,
        )
    except KeyError as exc:
        name = exc.args[0]
        what = "is another's twin" if name in tensors else "is missing"
        raise invalid(tensors.path, f"the tensor {name} {what}") from None
    for name in sources:
        if not name.startswith(PREFIXES):
            raise invalid(tensors.path, f"the tensor {name} is no part of this model")
    return tensors.renamed(sources)


def _settle_head(tensors: Tensors, config: NanoConfig) -> tuple[Tensors, NanoConfig]:
    """Drop an output layer that repeats the embedding; the weights decide, not a flag."""
    if _EMBEDDING not in tensors:
        raise invalid(tensors.path, f"the tensor {_EMBEDDING} is missing")
    if _HEAD in tensors and not _are_equal(tensors, _EMBEDDING, _HEAD):
        return tensors, replace(config, decoder=replace(config.decoder, tie_word_embeddings=False))
    return tensors.without(_HEAD), config


def _are_equal(tensors: Tensors, one: str, other: str) -> bool:
    if tensors.pieces[one] == tensors.pieces[other]:
        return True
    shape = tensors.shape(one)
    if shape != tensors.shape(other) or tensors.dtype(one) != tensors.dtype(other) or not shape:
        return False
    rows = max(1, _COMPARED_BYTES * shape[0] // max(1, tensors.size_bytes(one)))
    return all(
        torch.equal(
            tensors.read_rows(one, start, start + rows),
            tensors.read_rows(other, start, start + rows),
        )
        for start in range(0, shape[0], rows)
    )


def _settle_ctc(
    tensors: Tensors, config: NanoConfig, has_vocabulary: bool
) -> tuple[Tensors, CtcConfig | None, tuple[str, ...]]:
    """The CTC branch is used when all of it is there; part of it would be worse than none."""
    plain = tensors.without(*CTC_PREFIXES)
    if len(plain) == len(tensors):
        return plain, None, ()
    ctc = config.ctc
    if ctc is None or not _is_complete(tensors, ctc):
        return plain, None, (NOTE_CTC_INCOMPLETE,)
    if not has_vocabulary:
        return plain, None, (NOTE_CTC_VOCABULARY,)
    return tensors, ctc, ()


def _is_complete(tensors: Tensors, ctc: CtcConfig) -> bool:
    with torch.device("meta"):
        branch = CtcBranch(
            Adaptor(ctc.decoder), ctc.decoder.output_size, ctc.classes, blank=ctc.blank
        )
    wanted = {name: tuple(tensor.shape) for name, tensor in branch.state_dict().items()}
    found = {name for name in tensors.names() if name.startswith(CTC_PREFIXES)}
    return found == set(wanted) and all(tensors.shape(name) == wanted[name] for name in found)
