"""SenseVoiceSmall at full size with random weights, beside the funasr package's.

    python bench/sensevoice.py [--limit 60] [--rounds 1] [--json FILE]

One checkpoint as its publisher lays it out (50 + 20 blocks, 25,055 tokens, float32) is written and
loaded by everybody. Its values do not change the work, except how many tokens are written: the
table shows the characters of each second, of which speech has about four. The clips are real
recordings in the model's languages, cut at 30 s, decoded before the clock starts; features, network
and text are inside it. Each system runs in a process of its own, one after another, and rounds go
through all of them again:

- ``ours``: the engine, all clips in one call, in each of its number types;
- ``funasr``: ``AutoModel.generate`` as shipped (float32), sorted by length, in batches of 1 and of
  8; its best one counts.

Random weights say nothing about accuracy; that float32 gives what the package gives is a test.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lingting.audio.decode import read_all
from lingting.evaluate.machine import read_machine, read_packages
from lingting.evaluate.manifest import read_manifest
from systems import System, pin

SPEECH = Path(__file__).resolve().parents[2] / "shared" / "speech" / "manifest.jsonl"
LANGUAGES = ("zh", "yue", "en", "ja", "ko")
RATE_HZ = 16_000
LONGEST_S = 30
CLASSES = 25_055
VOCABULARY = "chn_jpn_yue_eng_ko_spectok.bpe.model"
ENCODER = {
    "output_size": 512, "attention_heads": 4, "linear_units": 2048, "num_blocks": 50,
    "tp_blocks": 20, "dropout_rate": 0.1, "positional_dropout_rate": 0.1,
    "attention_dropout_rate": 0.1, "input_layer": "pe", "pos_enc_class":
    "SinusoidalPositionEncoder", "normalize_before": True, "kernel_size": 11, "sanm_shfit": 0,
    "selfattention_layer_type": "sanm",
}  # fmt: skip
Samples = NDArray[np.float32]
Recognise = Callable[[Sequence[Samples]], Sequence[str]]


@dataclass(frozen=True)
class Result:
    system: System
    audio_s: float
    wall_s: float
    cpu_s: float
    load_s: float
    peak_loading_bytes: int
    peak_bytes: int
    characters: int

    @property
    def rtfx(self) -> float:
        return self.audio_s / self.wall_s

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rtfx": round(self.rtfx, 2)}


SYSTEMS = (
    System("ours", "int8"),
    System("ours", "float32"),
    System("ours", "bfloat16"),
    System("funasr", "float32", 1),
    System("funasr", "float32", 8),
)


# The checkpoint -----------------------------------------------------------------------------------


def write_checkpoint(folder: Path) -> None:
    """Everything the publisher's folder has, with random weights."""
    import torch
    import yaml

    torch.manual_seed(0)
    torch.save(random_state(), folder / "model.pt")
    (folder / VOCABULARY).write_bytes(sentence_pieces())
    (folder / "am.mvn").write_text(normalisation(), "utf-8")
    document = {
        "encoder": "SenseVoiceEncoderSmall",
        "encoder_conf": ENCODER,
        "model": "SenseVoiceSmall",
        "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
        "tokenizer": "SentencepiecesTokenizer",
        "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
        "frontend": "WavFrontend",
        "frontend_conf": {
            "fs": RATE_HZ, "window": "hamming", "n_mels": 80, "frame_length": 25,
            "frame_shift": 10, "lfr_m": 7, "lfr_n": 6, "cmvn_file": None,
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(document), "utf-8")
    files = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"bpemodel": VOCABULARY},
        "frontend_conf": {"cmvn_file": "am.mvn"},
    }
    configuration = {"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": files}
    (folder / "configuration.json").write_text(json.dumps(configuration), "utf-8")


def random_state() -> dict[str, Any]:
    import torch

    from lingting.engines.neural.sanm import SanmConfig
    from lingting.engines.sensevoice.network import SenseVoiceNetwork

    with torch.inference_mode():
        network = SenseVoiceNetwork(SanmConfig(), CLASSES)
        network.ctc.ctc_lo.bias[0] = -100.0  # never the blank: more is written than anybody says
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def sentence_pieces() -> bytes:
    """A vocabulary of the published size: the tags, and Chinese characters for all the rest."""
    import sentencepiece

    tags = ["zh", "en", "yue", "ja", "ko", "nospeech", "NEUTRAL", "Speech", "withitn", "woitn"]
    pieces = [f"<|{tag}|>" for tag in tags]
    pieces += [chr(0x4E00 + at) for at in range(20_000)]
    pieces += [a + b for a in map(chr, range(0xAC00, 0xAC80)) for b in map(chr, range(97, 123))]
    pieces += [a + b for a in map(chr, range(0x3041, 0x3097)) for b in map(chr, range(97, 123))]
    own = 6  # <unk>, <s>, </s>, the space and the two letters of the text
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b"] * 10),
        model_writer=model,
        model_type="char",
        vocab_size=CLASSES,
        hard_vocab_limit=False,
        user_defined_symbols=pieces[: CLASSES - own],
        minloglevel=2,
    )
    count = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()
    assert count == CLASSES, count
    return model.getvalue()


def normalisation() -> str:
    parts = ["<Nnet>\n<Splice> 560 560\n[ 0 ]\n"]
    for name, value in (("AddShift", -8.3), ("Rescale", 0.16)):
        numbers = " ".join([f"{value}"] * 560)
        parts.append(f"<{name}> 560 560\n<LearnRateCoef> 0 [ {numbers} ]\n")
    return "".join(parts) + "</Nnet>\n"


# The systems --------------------------------------------------------------------------------------


def ours(folder: Path, system: System, threads: int) -> Recognise:
    from lingting.engines.base import Clip
    from lingting.engines.sensevoice import load

    engine = load(folder, None, "cpu", system.compute, threads)

    def recognise(clips: Sequence[Samples]) -> Sequence[str]:
        heard = engine.recognize([Clip(samples) for samples in clips])
        assert not any(one.error for one in heard)
        return [one.text for one in heard]

    return recognise


def peer(folder: Path, system: System, threads: int) -> Recognise:
    import logging

    logging.disable(logging.CRITICAL)
    from funasr import AutoModel

    model = AutoModel(
        model=str(folder), device="cpu", ncpu=threads, disable_update=True, disable_pbar=True
    )

    def recognise(clips: Sequence[Samples]) -> Sequence[str]:
        order = sorted(clips, key=len)
        options = {"language": "auto", "use_itn": True, "batch_size": system.batch}
        return [one["text"] for one in model.generate(input=order, **options)]

    return recognise


def read_clips(manifest: Path, limit: int | None) -> list[Samples]:
    rows = [row for row in read_manifest(manifest).rows if row.language.split("-")[0] in LANGUAGES]
    step = len(rows) // min(limit or len(rows), len(rows))
    return [read_all(row.path)[0][: LONGEST_S * RATE_HZ] for row in rows[::step][:limit]]


def peak_bytes() -> int:
    """Of this program; ``ru_maxrss`` would begin with what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line) * 1024


def measure(system: System, folder: Path, clips_file: Path, threads: int) -> Result:
    """In this process, which does nothing else."""
    warnings.simplefilter("ignore")
    with np.load(clips_file) as stored:
        clips = [stored[name] for name in stored.files]
    started = time.perf_counter()
    recognise = (ours if system.name == "ours" else peer)(folder, system, threads)
    load_s = time.perf_counter() - started
    loaded = peak_bytes()
    recognise([clips[0], clips[-1]])  # first calls compile kernels
    wall, cpu = time.perf_counter(), time.process_time()
    texts = recognise(clips)
    return Result(
        system=system,
        audio_s=sum(map(len, clips)) / RATE_HZ,
        wall_s=time.perf_counter() - wall,
        cpu_s=time.process_time() - cpu,
        load_s=load_s,
        peak_loading_bytes=loaded,
        peak_bytes=peak_bytes(),
        characters=sum(map(len, texts)),
    )


def measured(system: System, folder: Path, clips_file: Path, threads: int) -> Result:
    """In a process of its own."""
    task = json.dumps([asdict(system), str(folder), str(clips_file), threads])
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [sys.executable, __file__, "--task", task],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{system.label} failed:\n{done.stderr[-3_000:]}")
    fields = json.loads(done.stdout.splitlines()[-1])
    return Result(**{**fields, "system": System(**fields["system"])})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="SenseVoiceSmall beside the funasr package's.")
    parser.add_argument("--manifest", type=Path, default=SPEECH)
    parser.add_argument("--limit", type=int, help="only so many clips, evenly over the set")
    parser.add_argument("--threads", type=int, help="for every system; all cores by default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--systems", help="only those whose name holds one of these, by comma")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    return parser.parse_args()


def print_table(results: Sequence[Result]) -> None:
    print(f"{'':24}{'RTFx':>8}{'wall s':>9}{'CPU s':>9}{'load s':>8}{'peak MiB':>10}{'chars/s':>9}")
    for one in results:
        print(
            f"{one.system.label:24}{one.rtfx:8.1f}{one.wall_s:9.1f}{one.cpu_s:9.1f}"
            f"{one.load_s:8.1f}{one.peak_bytes / 2**20:10.0f}{one.characters / one.audio_s:9.1f}"
        )


def ratios(rounds: Sequence[Sequence[Result]], compute: str) -> list[float]:
    """Our RTFx through the peer's best, round by round."""
    found = []
    for results in rounds:
        own = [r.rtfx for r in results if r.system == System("ours", compute)]
        theirs = [r.rtfx for r in results if r.system.name == "funasr"]
        if own and theirs:
            found.append(own[0] / max(theirs))
    return found


def main() -> None:
    given = arguments()
    if given.task:
        system, folder, clips_file, threads = json.loads(given.task)
        result = measure(System(**system), Path(folder), Path(clips_file), threads)
        print(json.dumps(asdict(result)))
        return
    threads = pin(given.threads)
    clips = read_clips(given.manifest, given.limit)
    wanted = given.systems.split(",") if given.systems else [""]
    systems = [one for one in SYSTEMS if any(part in one.label for part in wanted)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_checkpoint(folder)
        clips_file = folder / "clips.npz"
        np.savez(clips_file, *clips)
        rounds = []
        for number in range(1, given.rounds + 1):
            rounds.append([measured(one, folder, clips_file, threads) for one in systems])
            print(f"round {number}", file=sys.stderr)
    machine, packages = read_machine(), read_packages()
    audio_s = sum(map(len, clips)) / RATE_HZ
    print(f"{len(clips)} clips, {audio_s:.0f} s of audio; full size, random weights")
    print(f"{threads} threads on {machine.cores} cores, {machine.cpu}, Python {machine.python}")
    print(", ".join(f"{name} {version}" for name, version in packages.items()))
    for results in rounds:
        print_table(results)
    compared = {one.compute: ratios(rounds, one.compute) for one in systems if one.name == "ours"}
    for compute, each in compared.items():
        if each:
            listed = " ".join(f"{one:.2f}" for one in each)
            print(f"ours {compute} / funasr: {median(each):.2f} (rounds: {listed})")
    if given.json is not None:
        result = {
            "bench": "sensevoice",
            "clips": len(clips),
            "audio_s": round(audio_s, 1),
            "threads": threads,
            "cpu": machine.cpu,
            "packages": packages,
            "ratio_median": {c: round(median(e), 3) for c, e in compared.items() if e},
            "rounds": [[one.as_dict() for one in results] for results in rounds],
        }
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
