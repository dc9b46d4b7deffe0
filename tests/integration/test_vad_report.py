"""What is shown of the speech in a recording is what the detector and the packer find in it."""

from pathlib import Path

import numpy as np
import pytest
from vad_cases import recording, vad

from lingting.audio.decode import Limits
from lingting.audio.peaks import peaks
from lingting.errors import AudioTooLong
from lingting.vad.decision import SpeechEnd
from lingting.vad.pack import pack
from lingting.vad.parameters import parse_options
from lingting.vad.report import speech_report

NAMES = ("en-sonnet.mp3", "de-grimmelshausen.mp3", "ca-dosparlants.mp3")

pytestmark = [pytest.mark.speech, pytest.mark.model]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", [{}, {"max_single_segment_ms": 2_000, "target_s": 5.0}])
def test_spans_scores_and_clips(name: str, given: dict[str, float], speech_dir: Path) -> None:
    options = parse_options(given)
    samples = recording(name)
    stream = vad().stream(options=options.vad)
    events = stream.feed(samples) + stream.finish()
    frames = stream.take_frames()
    spans = [one.span for one in events if isinstance(one, SpeechEnd)]
    assert spans

    found = speech_report(speech_dir / name, vad(), options)

    assert [(one.start_s, one.end_s) for one in found.spans] == [
        (one.start_s, one.end_s) for one in spans
    ]
    for one in found.spans:
        part = frames.speech[round(one.start_s * 100) : round(one.end_s * 100)]
        assert one.score == pytest.approx(float(np.mean(part)), abs=1e-5)
        assert one.duration_s <= options.vad.max_single_segment_ms / 1000 + 0.02
    assert list(found.clips) == pack(spans, frames, found.duration_s, options.packing)
    assert found.duration_s == pytest.approx(len(samples) / 16_000)
    assert found.peaks == peaks(speech_dir / name)
    assert 0.5 < found.speech_share < 1
    assert not found.damage


def test_a_recording_that_is_too_long_is_refused_while_it_is_read(speech_dir: Path) -> None:
    looks = []
    with pytest.raises(AudioTooLong):
        speech_report(
            speech_dir / NAMES[0], vad(), parse_options({}), limits=Limits(max_duration_s=20),
            on_block=lambda: looks.append(1),
        )  # fmt: skip
