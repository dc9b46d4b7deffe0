"""Fun-ASR-Nano at full size with random weights, beside transformers and the funasr package.

    python bench/nano.py [--audio-s 160] [--json FILE]

No text comes out of random weights, so how much is written is forced: 3 tokens for each second of
audio, which is what Mandarin takes, for everybody. Recordings are packed into clips of 3 to 25 s.
One checkpoint in the published Hugging Face layout is written and loaded by all; its values do
not change the work. Each system runs in a process of its own, one after another:

- ``ours``: the engine from samples to text, in each of its number types;
- ``as shipped``: transformers' FunAsrNanoForConditionalGeneration.generate, all audio rows;
- ``1/8 rows``: the same given only the rows the model was trained on, through inputs_embeds;
- ``funasr``: the package's own model class, encoder in float32, one clip after the other.

transformers gets its clips sorted by length in batches of 1, 4 and 8, and its best result counts.
Features come from our frontend for everybody, inside the clock. The shares are of what this
machine does in a large matrix product of the same number type, and in reading memory once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systems import System

ROOT = Path(__file__).resolve().parents[1]
SPEECH = ROOT.parent / "shared" / "speech"
RATE = 16_000
TOKENS_PER_S = 3.0
LENGTHS_S = (25, 22, 19, 16, 14, 12, 11, 10, 8, 7, 6, 5, 4, 3)  # clips, again and again
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Result:
    system: System
    wall_s: float
    cpu_s: float
    """Of all threads; on a machine that others use as well, the steadier number."""
    audio_s: float
    peak_rss_bytes: int
    load_s: float
    tokens: int
    operations: float
    """Multiplications and additions that the clips need of the weights."""
    weight_passes: int = 0
    """How often the decoder's weights were read."""

    @property
    def rtfx(self) -> float:
        return self.audio_s / self.wall_s


CPU_SYSTEMS = (
    System("ours", "int8"),
    System("ours", "float32"),
    System("ours", "bfloat16"),
    *(System("as shipped", d, b) for d in ("float32", "bfloat16") for b in (1, 4, 8)),
    *(System("1/8 rows", d, b) for d in ("float32", "bfloat16") for b in (4, 8)),
    System("funasr", "float32", 1),
)
CUDA_SYSTEMS = (
    System("ours", "bfloat16"),
    *(System("as shipped", "bfloat16", b) for b in (1, 8, 16)),
    System("1/8 rows", "bfloat16", 16),
    System("funasr", "float32", 1),
)


def main() -> None:
    given = arguments()
    if given.measure:
        print(json.dumps(measured(System(**json.loads(given.measure)), given)))
        return
    systems = _chosen(given)
    with tempfile.TemporaryDirectory(prefix="nano-bench-", dir=given.folder) as name:
        folder = Path(name)
        _in_child(given, folder, "--write")
        limits = json.loads(_in_child(given, folder, "--limits"))
        results = []
        for system in systems:
            answer = json.loads(_in_child(given, folder, "--measure", json.dumps(asdict(system))))
            result = Result(System(**answer.pop("system")), **answer)
            results.append(result)
            print(f"{system.label}: {result.rtfx:.2f} x real time", file=sys.stderr, flush=True)
    report(results, limits, given)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fun-ASR-Nano beside its other implementations.")
    parser.add_argument("--audio-s", type=float, default=160.0, help="audio to recognise")
    parser.add_argument("--threads", type=int, help="for every system; all cores by default")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--only", help="systems whose label contains this")
    parser.add_argument("--speech", type=Path, default=SPEECH, help="folder of recordings")
    parser.add_argument("--folder", type=Path, help="where 2 GB of weights may lie meanwhile")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    for name in ("--write", "--limits"):
        parser.add_argument(name, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


def _chosen(given: argparse.Namespace) -> list[System]:
    systems = CUDA_SYSTEMS if _device(given) == "cuda" else CPU_SYSTEMS
    return [one for one in systems if given.only is None or given.only in one.label]


def _device(given: argparse.Namespace) -> str:
    if given.device != "auto":
        return str(given.device)
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _in_child(given: argparse.Namespace, folder: Path, *order: str) -> str:
    """Run this file again for one order; its last line is the answer."""
    command = [sys.executable, __file__, *order, "--work", str(folder)]
    command += ["--device", _device(given), "--audio-s", str(given.audio_s)]
    command += ["--speech", str(given.speech), "--threads", str(_threads(given))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def _threads(given: argparse.Namespace) -> int:
    return given.threads or len(os.sched_getaffinity(0))


# What everybody is given.


def clips(speech: Path, audio_s: float) -> list[Samples]:
    """Recordings one behind the other, cut into clips of LENGTHS_S."""
    from lingting.audio.decode import read_all

    files = sorted(path for path in speech.iterdir() if path.suffix in (".flac", ".mp3", ".wav"))
    stream: list[Samples] = []
    needed = held = 0
    lengths: list[int] = []
    while needed < audio_s * RATE:
        lengths.append(LENGTHS_S[len(lengths) % len(LENGTHS_S)] * RATE)
        needed += lengths[-1]
    for path in files:
        if held >= needed:
            break
        stream.append(read_all(path)[0])
        held += len(stream[-1])
    joined = np.concatenate(stream)
    if len(joined) < needed:
        joined = np.tile(joined, -(-needed // len(joined)))
    ends = np.cumsum(lengths)
    return [joined[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def write_checkpoint(folder: Path) -> None:
    """Full-size random weights in the published Hugging Face layout, bfloat16."""
    import torch
    from safetensors.torch import save_file
    from transformers import FunAsrNanoConfig, FunAsrNanoForConditionalGeneration

    sys.path.insert(0, str(ROOT))
    from tests.tiny_checkpoints import write_tokenizer

    config = FunAsrNanoConfig(tie_word_embeddings=True)
    config.architectures = ["FunAsrNanoForConditionalGeneration"]
    with torch.device("meta"):
        shapes = FunAsrNanoForConditionalGeneration(config).state_dict()
    random = torch.Generator().manual_seed(0)
    state = {
        name: (
            torch.ones(tensor.shape, dtype=torch.bfloat16)
            if tensor.dim() == 1 and name.endswith("weight")
            else torch.empty(tensor.shape).normal_(0, 0.02, generator=random).bfloat16()
        )
        for name, tensor in shapes.items()
        if name != "lm_head.weight"
    }
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)
    write_tokenizer(folder)


def tokens_for(samples: Samples) -> int:
    return max(1, round(len(samples) / RATE * TOKENS_PER_S))


# The systems.


def measured(system: System, given: argparse.Namespace) -> dict[str, Any]:
    """Load, warm up on the shortest clip, and recognise all of them once."""
    import torch

    warnings.simplefilter("ignore")
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    torch.set_num_threads(_threads(given))
    device = _device(given)
    heard = clips(given.speech, given.audio_s)
    load = {"ours": Ours, "funasr": FunAsr}.get(system.name, Port)
    begin_s = time.perf_counter()
    subject = load(system, given.work, device)
    load_s = time.perf_counter() - begin_s
    with torch.inference_mode():
        subject.run(sorted(heard, key=len)[:2])
        subject.passes = 0
        begin_s, cpu_begin_s = time.perf_counter(), time.process_time()
        tokens = subject.run(heard)
        if device == "cuda":
            torch.cuda.synchronize()
        wall_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - cpu_begin_s
    wanted = sum(tokens_for(one) for one in heard)
    if tokens != wanted:
        raise SystemExit(f"{system.label} wrote {tokens} tokens where {wanted} were due")
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else _peak_rss_bytes()
    return asdict(
        Result(
            system,
            wall_s,
            cpu_s,
            sum(map(len, heard)) / RATE,
            peak,
            load_s,
            tokens,
            sum(operations(one, system.name == "as shipped") for one in heard),
            weight_passes=subject.passes,
        )
    )


class Ours:
    """The engine itself; only the length of what it writes is forced."""

    def __init__(self, system: System, folder: Path, device: str) -> None:
        import torch

        from lingting.engines.nano import engine as module
        from lingting.engines.nano import generation
        from lingting.engines.nano.graphs import TokenWriter

        bench = self
        self.passes = 0

        class Counting(TokenWriter):
            def read(self, *args: Any) -> Any:
                bench.passes += 1
                return super().read(*args)

            def write(self, *args: Any) -> Any:
                bench.passes += 1
                return super().write(*args)

        class Forced(generation.Generator):
            def __init__(self, model: Any, **_: Any) -> None:
                super().__init__(model, eos_ids=(), detects_loops=False)

            def generate(self, requests: Sequence[Any]) -> Any:
                audio = [len(one.embeddings) - bench.prompt_tokens for one in requests]
                due = [bench.due[rows] for rows in audio]
                return super().generate(
                    [
                        generation.Request(one.embeddings, count)
                        for one, count in zip(requests, due, strict=True)
                    ]
                )

        generation.TokenWriter = Counting  # type: ignore[misc]
        module.Generator = Forced  # type: ignore[misc]
        self.due: dict[int, int] = {}
        self._rows = module.trained_rows
        self.engine = module.NanoEngine(
            folder, device=device, compute=system.compute, threads=torch.get_num_threads()
        )
        self.prompt_tokens = sum(map(len, prompt_ids(folder)))

    def run(self, heard: Sequence[Samples]) -> int:
        from lingting.engines.base import Clip
        from lingting.engines.neural.frontend import lfr_frames

        for samples in heard:
            self.due[self._rows(lfr_frames(len(samples)))] = tokens_for(samples)
        found = self.engine.recognize([Clip(samples) for samples in heard])
        failed = [one.error for one in found if one.error is not None]
        if failed or any(one.notes for one in found):
            raise SystemExit(f"the engine did not decode every clip: {failed[:1]}")
        return sum(tokens_for(samples) for samples in heard)


class Port:
    """transformers' model, all rows (``as shipped``) or those it was trained on (``1/8 rows``)."""

    def __init__(self, system: System, folder: Path, device: str) -> None:
        import torch
        from transformers import FunAsrNanoForConditionalGeneration

        self.passes = 0
        self._device = device
        self._batch = system.batch
        self._takes_all = system.name == "as shipped"
        self._before, self._after = prompt_ids(folder)
        self._model = FunAsrNanoForConditionalGeneration.from_pretrained(
            folder, attn_implementation="sdpa", dtype=getattr(torch, system.compute)
        ).to(device)
        self._model.eval()
        self._model.generation_config.eos_token_id = None

    def run(self, heard: Sequence[Samples]) -> int:
        ordered = sorted(heard, key=len, reverse=True)
        groups = [ordered[at : at + self._batch] for at in range(0, len(ordered), self._batch)]
        for group in groups:
            self._generate(group)
        return sum(map(tokens_for, heard))

    def _generate(self, group: Sequence[Samples]) -> None:
        import torch

        features, mask = self._features(group)
        counts = [int(count) for count in mask.sum(1)]
        most = max(map(tokens_for, group))
        common: dict[str, Any] = {"max_new_tokens": most, "do_sample": False, "pad_token_id": 0}
        if self._takes_all:
            place = self._model.config.audio_token_id
            rows = [[*self._before, *[place] * count, *self._after] for count in counts]
            ids = torch.tensor([[0] * (len(rows[0]) - len(row)) + row for row in rows])
            seen = torch.tensor([[0] * (len(rows[0]) - len(r)) + [1] * len(r) for r in rows])
            found = self._model.generate(
                input_ids=ids.to(self._device),
                attention_mask=seen.to(self._device),
                input_features=features,
                input_features_mask=mask,
                **common,
            )
            assert found.shape[1] == ids.shape[1] + most
            return
        embed = self._model.get_input_embeddings()
        heard = self._model.get_audio_features(features, mask).pooler_output.split(counts)
        before, after = (
            embed(torch.tensor(ids, device=self._device)) for ids in (self._before, self._after)
        )
        rows = [
            torch.cat((before, clip[: eighth(len(clip))].to(before.dtype), after)) for clip in heard
        ]
        embeddings = before.new_zeros(len(rows), len(rows[0]), before.shape[1])
        seen = torch.zeros(len(rows), len(rows[0]), dtype=torch.long, device=self._device)
        for at, row in enumerate(rows):
            embeddings[at, -len(row) :] = row
            seen[at, -len(row) :] = 1
        found = self._model.generate(inputs_embeds=embeddings, attention_mask=seen, **common)
        assert found.shape[1] == most

    def _features(self, group: Sequence[Samples]) -> tuple[Any, Any]:
        import torch

        from lingting.engines.neural.frontend import lfr_features, pad

        features, lengths = pad([lfr_features(samples) for samples in group])
        mask = (torch.arange(features.shape[1]) < lengths[:, None]).long()
        features = features.to(self._device, self._model.dtype)
        return features, mask.to(self._device)


class FunAsr:
    """The package's model class on the same weights, as its ``inference_llm`` calls it."""

    def __init__(self, system: System, folder: Path, device: str) -> None:
        import torch
        from funasr.models.fun_asr_nano.model import FunASRNano
        from funasr.models.llm_asr import adaptor  # noqa: F401 registers itself
        from funasr.models.sense_voice import model as sense_voice  # noqa: F401 likewise

        from lingting.engines.nano.layout import open_checkpoint

        self.passes = 0
        self._device = device
        self._before, self._after = prompt_ids(folder)
        qwen = folder / "qwen"
        qwen.mkdir(exist_ok=True)
        text = json.loads((folder / "config.json").read_text("utf-8"))["text_config"]
        text |= {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "dtype": "float32"}
        (qwen / "config.json").write_text(json.dumps(text), "utf-8")
        assert system.compute == "float32"
        encoder = {"output_size": 512, "attention_heads": 4, "linear_units": 2048,
                   "num_blocks": 50, "tp_blocks": 20, "dropout_rate": 0.1, "input_layer": "pe",
                   "kernel_size": 11, "normalize_before": True, "sanm_shfit": 0,
                   "pos_enc_class": "SinusoidalPositionEncoder",
                   "selfattention_layer_type": "sanm", "freeze": True}  # fmt: skip
        bridge = {"downsample_rate": 1, "use_low_frame_rate": True, "ffn_dim": 2048,
                  "n_layer": 2, "encoder_dim": 512, "freeze": True}  # fmt: skip
        self._model = FunASRNano(
            audio_encoder="SenseVoiceEncoderSmall",
            audio_encoder_conf=encoder,
            audio_adaptor="Transformer",
            audio_adaptor_conf=bridge,
            llm="Qwen3-0.6b",
            llm_conf={"init_param_path": str(qwen), "freeze": True},
            input_size=560,
        )
        tensors = open_checkpoint(folder).tensors
        state = {name: tensors.read(name).float() for name in tensors.names()}
        left = self._model.load_state_dict(state, strict=False)
        assert not left.unexpected_keys, left.unexpected_keys[:3]
        assert set(left.missing_keys) <= {"llm.lm_head.weight"}, left.missing_keys[:3]
        self._model = self._model.to(device).to(torch.float32).eval()
        self._model.llm.tie_weights()
        self._model.llm.generation_config.eos_token_id = None

    def run(self, heard: Sequence[Samples]) -> int:
        for samples in heard:
            self._one(samples)
        return sum(map(tokens_for, heard))

    def _one(self, samples: Samples) -> None:
        import torch

        from lingting.engines.neural.frontend import lfr_features, pad

        features, lengths = (one.to(self._device) for one in pad([lfr_features(samples)]))
        encoded, encoded_lengths = self._model.encode(features, lengths)
        rows, _ = self._model.audio_adaptor(encoded, encoded_lengths)
        embed = self._model.llm.model.get_input_embeddings()
        before, after = (
            embed(torch.tensor(ids, device=self._device)) for ids in (self._before, self._after)
        )
        given = torch.cat((before, rows[0, : eighth(len(rows[0]))], after))[None]
        seen = torch.ones(given.shape[:2], dtype=torch.long, device=self._device)
        most = tokens_for(samples)
        found = self._model.llm.generate(
            inputs_embeds=given, attention_mask=seen, max_new_tokens=most, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip
        assert found.shape[1] == most


def prompt_ids(folder: Path) -> tuple[list[int], list[int]]:
    """Tokens in front of the audio rows and behind them, for everybody the same."""
    from lingting.engines.nano.prompt import PromptOptions, build
    from lingting.engines.nano.tokenizer import QwenTokenizer

    tokenizer = QwenTokenizer(folder)
    prompt = build(PromptOptions(), None)
    return tokenizer.encode(prompt.before), tokenizer.encode(prompt.after)


def eighth(frames: int) -> int:
    from lingting.engines.nano.engine import trained_rows

    return trained_rows(frames)


# Limits and shares.


def operations(samples: Samples, takes_all: bool) -> float:
    """Of the weights alone: attention adds a few per cent at these lengths."""
    from lingting.engines.neural.frontend import lfr_frames

    frames, tokens = lfr_frames(len(samples)), tokens_for(samples)
    rows = 18 + (frames if takes_all else eighth(frames))
    encoder = 221e6 + 12.6e6
    layers, head = 440.4e6, 155.6e6
    return 2 * (encoder * frames + layers * (rows + tokens - 1) + head * tokens)


WEIGHT_BYTES = {"int8": 596e6, "bfloat16": 1192e6, "float32": 2384e6}
"""What one pass of the decoder reads, the output layer included."""


def limits(device: str) -> dict[str, float]:
    """Operations per second of a large product by number type, and bytes read per second."""
    import torch

    warnings.simplefilter("ignore")
    found: dict[str, float] = {}
    size, rows = (8192, 8192) if device == "cuda" else (2048, 1024)
    for name in ("float32", "bfloat16"):
        weight = torch.randn(size, size, device=device, dtype=getattr(torch, name))
        x = torch.randn(rows, size, device=device, dtype=weight.dtype)
        found[name] = 2 * rows * size * size / _least_s(lambda x=x, w=weight: x @ w, device)
    if device == "cpu":
        x8 = torch.ones(rows, size, dtype=torch.uint8)
        one = torch.ops.onednn.qlinear_prepack(torch.ones(size, size, dtype=torch.int8), None)
        scales, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int8)

        def product() -> Any:
            return torch.ops.onednn.qlinear_pointwise(
                x8, 1.0, 128, one, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
            )

        found["int8"] = 2 * rows * size * size / _least_s(product, device)
    big = torch.ones(600 << 18, device=device)  # 600 MB, as int8 weights are read in each pass
    found["bytes"] = big.nbytes / _least_s(big.sum, device)
    return found


def _least_s(call: Callable[[], Any], device: str) -> float:
    import torch

    def run() -> float:
        begin_s = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin_s

    run()
    return min(run() for _ in range(8))


def _peak_rss_bytes() -> int:
    import resource

    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def report(results: Sequence[Result], limit: dict[str, float], given: argparse.Namespace) -> None:
    """The table, and how much faster we are than the best of each other."""
    header = (
        "system",
        "RTFx",
        "wall s",
        "CPU s",
        "peak MiB",
        "load s",
        "arithmetic %",
        "bandwidth %",
    )
    lines = [header, *(_cells(one, limit) for one in results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first = results[0]
    print(f"{first.audio_s:.0f} s of audio, {first.tokens} tokens, {_threads(given)} threads")
    kinds = (name for name in ("int8", "float32", "bfloat16") if name in limit)
    peaks = ", ".join(f"{name} {limit[name] / 1e9:,.0f} GFLOPS" for name in kinds)
    print(f"this machine: {peaks}, reads {limit['bytes'] / 1e9:.1f} GB/s")
    for line in lines:
        cells = (f"{c:<{w}}" if at == 0 else f"{c:>{w}}"
                 for at, (c, w) in enumerate(zip(line, widths, strict=True)))  # fmt: skip
        print("  ".join(cells))
    compared = dict(_ratios(results))
    for name, ratio in compared.items():
        print(f"ours / {name}: {ratio:.2f}")
    if given.json is not None:
        document = {
            "bench": "nano",
            "threads": _threads(given),
            "limits": limit,
            "ratios": {name: round(ratio, 3) for name, ratio in compared.items()},
            "results": [{**asdict(one), "rtfx": round(one.rtfx, 3)} for one in results],
        }
        given.json.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def _cells(one: Result, limit: dict[str, float]) -> tuple[str, ...]:
    dtype = one.system.compute
    read = one.weight_passes * WEIGHT_BYTES[dtype] / one.wall_s / limit["bytes"]
    return (
        one.system.label,
        f"{one.rtfx:.2f}",
        f"{one.wall_s:.1f}",
        f"{one.cpu_s:.1f}",
        f"{one.peak_rss_bytes / 2**20:.0f}",
        f"{one.load_s:.1f}",
        f"{100 * one.operations / one.wall_s / limit[dtype]:.0f}",
        f"{100 * read:.0f}" if one.weight_passes else "",
    )


def _ratios(results: Sequence[Result]) -> Iterator[tuple[str, float]]:
    best: dict[str, float] = {}
    for one in results:
        best[one.system.name] = max(best.get(one.system.name, 0.0), one.rtfx)
    ours = best.pop("ours", None)
    if ours is not None:
        yield from ((name, ours / speed) for name, speed in best.items())


if __name__ == "__main__":
    _given = arguments()
    if _given.write:
        write_checkpoint(_given.work)
    elif _given.limits:
        print(json.dumps(limits(_device(_given))))
    else:
        main()
