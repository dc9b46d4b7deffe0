"""Tiny models with random weights in the on-disk layouts of the FunASR toolkit.

Each has the classes, files and configuration keys of its published namesake, at a width of 16 to
80. The weights are drawn by the toolkit's own classes from a fixed seed.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

CHARACTERS = "的一是不了在人有我他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生"
WORDS = ("hello", "world", "speech", "a", "b", "c")
_TAGS = [
    *("<|zh|>", "<|en|>", "<|yue|>", "<|ja|>", "<|ko|>", "<|nospeech|>", "<|HAPPY|>", "<|SAD|>"),
    *("<|ANGRY|>", "<|NEUTRAL|>", "<|EMO_UNKNOWN|>", "<|Speech|>", "<|BGM|>", "<|Laughter|>"),
    *("<|withitn|>", "<|woitn|>"),
]
_FRONTEND = {
    "fs": 16000,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
}
_SANM = {
    "output_size": 32,
    "attention_heads": 4,
    "linear_units": 64,
    "num_blocks": 2,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "attention_dropout_rate": 0.1,
    "input_layer": "pe",
    "pos_enc_class": "SinusoidalPositionEncoder",
    "normalize_before": True,
    "kernel_size": 11,
    "sanm_shfit": 0,
    "selfattention_layer_type": "sanm",
}
_DECODER = {
    "attention_heads": 4,
    "linear_units": 64,
    "num_blocks": 2,
    "dropout_rate": 0.1,
    "positional_dropout_rate": 0.1,
    "self_attention_dropout_rate": 0.1,
    "src_attention_dropout_rate": 0.1,
    "att_layer_num": 2,
    "kernel_size": 11,
    "sanm_shfit": 0,
}


def write_paraformer(folder: Path, kind: str = "SeacoParaformer") -> Path:
    """``SeacoParaformer`` (times, hotwords), ``BiCifParaformer`` (times) or ``Paraformer``."""
    predictor: dict[str, Any] = {"idim": 32, "threshold": 1.0, "l_order": 1, "r_order": 1}
    predictor |= {"tail_threshold": 0.45}
    config: dict[str, Any] = {
        "model": kind,
        "model_conf": {
            "ctc_weight": 0.0,
            "lsm_weight": 0.1,
            "length_normalized_loss": True,
            "predictor_weight": 1.0,
            "predictor_bias": 1,
            "sampling_ratio": 0.75,
        },
        "encoder": "SANMEncoder",
        "encoder_conf": dict(_SANM),
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": dict(_DECODER),
        "predictor": "CifPredictorV2",
        "predictor_conf": predictor,
        **_speech_parts(),
    }
    if kind in {"SeacoParaformer", "BiCifParaformer"}:
        config["predictor"] = "CifPredictorV3"
        config["predictor_conf"] = {
            **predictor,
            "smooth_factor2": 0.25,
            "noise_threshold2": 0.01,
            "upsample_times": 3,
            "use_cif1_cnn": False,
            "upsample_type": "cnn_blstm",
        }
    if kind == "SeacoParaformer":
        config["model_conf"] |= {
            "inner_dim": 32,
            "bias_encoder_type": "lstm",
            "bias_encoder_bid": False,
            "seaco_lsm_weight": 0.1,
            "seaco_length_normalized_loss": True,
            "train_decoder": True,
            "NO_BIAS": 3,
        }
        config["seaco_decoder"] = "ParaformerSANMDecoder"
        config["seaco_decoder_conf"] = {**_DECODER, "wo_input_layer": True}
        config["seaco_decoder_conf"]["use_output_layer"] = False
    if kind == "ParaformerStreaming":
        config["encoder"] = "SANMEncoderChunkOpt"
        config["encoder_conf"] |= {
            "chunk_size": [12, 15],
            "stride": [8, 10],
            "pad_left": [0, 0],
            "encoder_att_look_back_factor": [4, 4],
            "decoder_att_look_back_factor": [1, 1],
            "input_layer": "pe_online",
            "pos_enc_class": "StreamSinusoidalPositionEncoder",
        }
        config["decoder_conf"] |= {"sanm_shfit": 5}
        config["frontend"] = "WavFrontendOnline"
    return _written(folder, config)


def write_sensevoice(folder: Path) -> Path:
    """SenseVoiceSmall: CTC over a sentencepiece vocabulary with its tags as pieces."""
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            [*WORDS, CHARACTERS, " ".join(CHARACTERS), "hello 你 speech 我"] * 20
        ),
        model_writer=model,
        vocab_size=110,
        hard_vocab_limit=False,
        model_type="bpe",
        character_coverage=1.0,
        user_defined_symbols=_TAGS,
        minloglevel=2,
    )
    (folder / "chn_jpn_yue_eng_ko_spectok.bpe.model").write_bytes(model.getvalue())
    config = {
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": {**_SANM, "tp_blocks": 1},
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": dict(_FRONTEND),
    }
    config["encoder_conf"].pop("pos_enc_class")
    metas = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"bpemodel": "chn_jpn_yue_eng_ko_spectok.bpe.model"},
        "frontend_conf": {"cmvn_file": "am.mvn"},
    }
    return _written(folder, config, metas)


def write_punctuator(folder: Path) -> Path:
    """CTTransformer: a label for each token."""
    config = {
        "model": "CTTransformer",
        "model_conf": {
            "ignore_id": 0,
            "embed_unit": 16,
            "att_unit": 16,
            "dropout_rate": 0.1,
            "punc_list": ["<unk>", "_", "，", "。", "？", "、"],
            "punc_weight": [1.0] * 6,
            "sentence_end_id": 3,
        },
        "encoder": "SANMEncoder",
        "encoder_conf": {**_SANM, "input_size": 16, "output_size": 16, "input_layer": "pe"},
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>"},
    }
    written = _written(folder, config)

    def never_unknown(state: Any) -> None:
        state["decoder.bias"][0] = -1e9  # the trained model never writes its first label, <unk>

    change_weights(written, never_unknown)
    return written


def write_voices(folder: Path) -> Path:
    """CAMPPlus, narrow; its weights keep their published name and its folder has no tokens."""
    config = {
        "model": "CAMPPlus",
        "model_conf": {"feat_dim": 80, "embedding_size": 192, "growth_rate": 4},
        "frontend": "WavFrontend",
        "frontend_conf": {"fs": 16000},
    }
    config["model_conf"] |= {"init_channels": 16, "bn_size": 2}
    metas = {"init_param": "campplus_cn_common.bin", "config": "config.yaml"}
    return _written(folder, config, metas)


def change_weights(folder: Path, change: Any, name: str = "model.pt") -> None:
    """Rewrite the weights as ``change(state)`` leaves them."""
    import torch

    state = torch.load(folder / name, weights_only=True)
    change(state)
    torch.save(state, folder / name)


def _speech_parts() -> dict[str, Any]:
    return {
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": dict(_FRONTEND),
    }


def _written(folder: Path, config: dict[str, Any], metas: dict[str, Any] | None = None) -> Path:
    """The folder with configuration, vocabulary, statistics and weights."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    if metas is not None:
        layout = {"framework": "pytorch", "task": "x", "file_path_metas": metas}
        (folder / "configuration.json").write_text(json.dumps(layout), "utf-8")
    if config.get("tokenizer") == "CharTokenizer":
        tokens = ["<blank>", "<s>", "</s>", "<no_bias>", *CHARACTERS, *WORDS, "<unk>"]
        (folder / "tokens.json").write_text(json.dumps(tokens, ensure_ascii=False), "utf-8")
    if config.get("frontend_conf", {}).get("lfr_m"):
        _write_statistics(folder / "am.mvn", 560)
    _save_random_weights(folder, (metas or {}).get("init_param", "model.pt"))
    return folder


def _write_statistics(path: Path, size: int) -> None:
    """Means and scales of features as Kaldi's text format has them."""
    rows = {"AddShift": [-8.0] * size, "Rescale": [0.2] * size}
    lines = ["<Nnet>"]
    for name, values in rows.items():
        numbers = " ".join(str(value) for value in values)
        lines += [f"<{name}> {size} {size}", f"<LearnRateCoef> 0 [ {numbers} ]"]
    path.write_text("\n".join([*lines, "</Nnet>", ""]), "utf-8")


def _save_random_weights(folder: Path, name: str) -> None:
    import torch

    from lingting.engines.funasr.fence import FENCE
    from lingting.engines.funasr.loading import _build, read_folder

    (folder / name).write_bytes(b"")  # a folder is only read with its weights there
    config, path = read_folder(folder)
    with FENCE.loading():
        module, _ = _build(config, "cpu")
        torch.manual_seed(7)
        for parameter in module.parameters():
            if 1 < parameter.dim() < 4:  # livelier than the usual start, so that clips differ
                torch.nn.init.normal_(parameter, std=1.2 / parameter.shape[-1] ** 0.5)
    torch.save(module.state_dict(), path)
