"""Our spans are those of the funasr package: same weights, same samples, same options.

``tests/data/vad_parity.json`` holds what funasr said, by clip, with a digest of the samples it was
given; it is written by ``python tests/integration/test_vad_parity.py`` with funasr installed.
What may differ and why: funasr refuses audio shorter than one frame, and scales its silence by the
length of a span unless ``max_end_silence_time`` is given at call time, so it is.
"""

import json
import logging
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vad_cases as cases
from numpy.typing import NDArray

from lingting.vad.fsmn import FsmnVad
from lingting.vad.options import VadOptions

STORED = Path(__file__).parents[1] / "data" / "vad_parity.json"
FRAME_MS = 10

pytestmark = [pytest.mark.speech, pytest.mark.model]

Spans = list[list[int]]


def in_ms(detector: FsmnVad, samples: NDArray[np.float32]) -> Spans:
    return [[round(s.start_s * 1000), round(s.end_s * 1000)] for s in detector.spans(samples)]


def difference(ours: Spans, theirs: Spans) -> str | None:
    """What is wrong with ``ours``, or None."""
    if len(ours) != len(theirs):
        return f"{len(ours)} spans instead of {len(theirs)}"
    pairs = zip(chain(*ours), chain(*theirs), strict=True)
    worst = max((abs(a - b) for a, b in pairs), default=0)
    return f"a boundary is {worst} ms off" if worst > FRAME_MS else None


def load_funasr(folder: Path) -> Any:
    logging.disable(logging.CRITICAL)
    from funasr import AutoModel

    return AutoModel(model=str(folder), disable_update=True, disable_pbar=True, device="cpu")


def funasr_spans(model: Any, samples: NDArray[np.float32], end_silence_ms: int = 800) -> Spans:
    spans: Spans = model.generate(samples, max_end_silence_time=end_silence_ms)[0]["value"]
    return spans


def test_spans_are_those_stored_from_funasr() -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    detector, compared, wrong = cases.vad(), 0, {}
    for name in cases.clip_names():
        samples = cases.recording(name)
        entry = stored["clips"].get(name)
        if entry is None or entry["sha256"] != cases.digest(samples):
            continue  # another resampler or decoder than the one the figures were made with
        compared += 1
        if problem := difference(in_ms(detector, samples), entry["spans_ms"]):
            wrong[name] = problem
    assert wrong == {}
    assert compared >= 150, f"only {compared} clips decode to the samples of the stored figures"


@pytest.fixture(scope="module")
def funasr_model() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield load_funasr(cases.vad_folder())
    logging.disable(logging.NOTSET)


@pytest.mark.filterwarnings("ignore")
def test_spans_are_those_of_funasr_here_and_now(funasr_model: Any) -> None:
    wrong = {}
    for name in cases.clip_names():
        samples = cases.recording(name)
        theirs = funasr_spans(funasr_model, samples)
        if problem := difference(in_ms(cases.vad(), samples), theirs):
            wrong[name] = problem
    assert wrong == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("length_s", [60.0, 60.01, 120.0, 150.0, 0.4, 0.06, 0.03])
def test_its_chunks_of_a_minute_leave_no_trace(funasr_model: Any, length_s: float) -> None:
    samples = cases.joined(20)[: round(length_s * 16_000)]
    theirs = funasr_spans(funasr_model, samples)
    assert difference(in_ms(cases.vad(), samples), theirs) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"max_end_silence_ms": 300}, {}),
        ({"max_end_silence_ms": 2000}, {}),
        ({"max_single_segment_ms": 3000}, {"max_single_segment_time": 3000}),
        ({"speech_noise_threshold": 0.2}, {"speech_noise_thres": 0.2}),
        ({"window_ms": 400}, {"window_size_ms": 400}),
        ({"sil_to_speech_ms": 50}, {"sil_to_speech_time_thres": 50}),
        ({"speech_to_sil_ms": 40}, {"speech_to_sil_time_thres": 40}),
        ({"lookback_ms": 0}, {"lookback_time_start_point": 0}),
        ({"lookahead_ms": 900}, {"lookahead_time_end_point": 900}),
        ({"min_level_db": 0.0}, {"decibel_thres": 0.0}),
        ({"min_snr_db": 15.0}, {"snr_thres": 15.0}),
        ({"single_utterance": True}, {"detect_mode": 0}),
        (
            {"single_utterance": True, "max_start_silence_ms": 400},
            {"detect_mode": 0, "max_start_silence_time": 400},
        ),
    ],
)
def test_every_option_does_what_it_does_in_funasr(
    funasr_model: Any, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    options = VadOptions(**ours)
    detector = FsmnVad(cases.vad_folder(), options=options)
    samples = cases.joined(40)
    known = vars(funasr_model.model.vad_opts)
    before = dict(known)
    assert set(theirs) <= set(known)
    known.update(theirs)
    try:
        expected = funasr_spans(funasr_model, samples, options.max_end_silence_ms)
    finally:
        known.update(before)
    assert difference(in_ms(detector, samples), expected) is None


def record() -> None:
    """Write the stored figures anew."""
    model = load_funasr(cases.vad_folder())
    clips = {}
    for name in cases.clip_names():
        samples = cases.recording(name)
        clips[name] = {
            "sha256": cases.digest(samples),
            "spans_ms": funasr_spans(model, samples),
        }
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in clips.items())
    made_by = json.dumps(f"funasr {version('funasr')}, FSMN-VAD, max_end_silence_time=800")
    STORED.write_text(f'{{"made_by": {made_by}, "clips": {{\n{rows}\n}}}}\n', encoding="utf-8")


if __name__ == "__main__":
    record()
