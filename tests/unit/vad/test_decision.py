"""Frame decisions to spans: against a machine that looks at every frame, and rule by rule."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.transcript import Span
from lingting.vad.decision import SpanDecider, SpeechEnd, SpeechStart
from lingting.vad.fsmn import _FrameJudge
from lingting.vad.options import VadOptions


def frame_by_frame(flags: list[bool], options: VadOptions) -> list[tuple[int, int]]:
    """The published rules, one frame at a time, in frames: the slow way to the same spans."""
    size, on, off = (
        ms // 10 for ms in (options.window_ms, options.sil_to_speech_ms, options.speech_to_sil_ms)
    )
    window = deque([False] * size, maxlen=size)
    spans: list[tuple[int, int]] = []
    free = silent = waited = 0
    start: int | None = None
    speaking = False
    for now, flag in enumerate(flags):
        window.append(flag)
        inside = sum(window)
        switched = inside <= off if speaking else inside >= on
        if switched:
            speaking = not speaking
        silent = 0 if switched or speaking else silent + 1
        if start is None:
            waited += 1
            if switched:
                start = max(free, now - size - options.lookback_ms // 10)
            elif options.single_utterance and waited * 10 > options.max_start_silence_ms:
                return spans
            continue
        wanted = closing_silence(options, (now - start + 1) * 10) - options.speech_to_sil_ms
        too_long = now - start + 1 > options.max_single_segment_ms // 10
        if silent and silent * 10 >= wanted:
            end = min(now, now - silent + options.lookahead_ms // 10 + 1)
        elif too_long:
            end = now
        else:
            continue
        spans.append((start, end + 1))
        if options.single_utterance:
            return spans
        free, start, speaking, waited, silent = end + 1, None, False, 0, 0
        window.extend([False] * size)
    if start is not None:
        spans.append((start, len(flags)))
    return spans


def closing_silence(options: VadOptions, length_ms: int) -> int:
    if options.silence_schedule is None:
        return options.max_end_silence_ms
    for limit_ms, silence_ms in options.silence_schedule:
        if length_ms <= limit_ms:
            return silence_ms
    return options.silence_schedule[-1][1]


def decide(flags: list[bool], options: VadOptions, cuts: list[int] | None = None) -> list[Span]:
    decider = SpanDecider(options)
    bounds = sorted({0, len(flags), *(c % (len(flags) + 1) for c in cuts or [])})
    events = []
    for begin, end in pairwise(bounds):
        events += decider.feed(np.array(flags[begin:end], np.bool_))
    events += decider.finish()
    starts = [e.start_s for e in events if isinstance(e, SpeechStart)]
    spans = [e.span for e in events if isinstance(e, SpeechEnd)]
    assert starts == [span.start_s for span in spans]
    return spans


def in_frames(spans: list[Span]) -> list[tuple[int, int]]:
    return [(round(s.start_s * 100), round(s.end_s * 100)) for s in spans]


# Runs of equal decisions, sprinkled with single frames, so that windows hover at their thresholds.
runs = st.lists(
    st.tuples(st.booleans(), st.integers(1, 90), st.integers(0, 6)), min_size=1, max_size=25
)


def spell(drawn: list[tuple[bool, int, int]]) -> list[bool]:
    flags: list[bool] = []
    for value, length, every in drawn:
        flags += [value if not every or i % (every + 1) else not value for i in range(length)]
    return flags


frame_ms = st.integers(0, 40).map(lambda n: n * 10)


@st.composite
def vad_options(draw: st.DrawFn) -> VadOptions:
    window = draw(st.integers(1, 30)) * 10
    off = draw(st.integers(0, window // 10 - 1)) * 10
    lookback = draw(frame_ms)
    limits = sorted(draw(st.sets(st.integers(1, 200), max_size=3)))
    schedule = tuple((n * 10, draw(frame_ms) + off + 10) for n in limits)
    return VadOptions(
        window_ms=window,
        sil_to_speech_ms=draw(st.integers(1, window // 10)) * 10,
        speech_to_sil_ms=off,
        max_end_silence_ms=off + 10 + draw(frame_ms),
        max_single_segment_ms=window + lookback + 10 + draw(frame_ms) * 8,
        lookback_ms=lookback,
        lookahead_ms=draw(frame_ms),
        silence_schedule=schedule or None,
        single_utterance=draw(st.booleans()),
        max_start_silence_ms=draw(frame_ms),
    )


@settings(max_examples=200, deadline=None)
@given(runs, vad_options(), st.lists(st.integers(0, 3000), max_size=12))
def test_spans_are_those_of_the_frame_by_frame_rules_for_any_blocks(
    drawn: list[tuple[bool, int, int]], options: VadOptions, cuts: list[int]
) -> None:
    flags = spell(drawn)
    assert in_frames(decide(flags, options, cuts)) == frame_by_frame(flags, options)


@settings(max_examples=80, deadline=None)
@given(runs, vad_options(), st.lists(st.integers(1, 70), min_size=1, max_size=8))
def test_progress_never_promises_what_later_audio_takes_back(
    drawn: list[tuple[bool, int, int]], options: VadOptions, sizes: list[int]
) -> None:
    flags = spell(drawn)
    spans = frame_by_frame(flags, options)
    decider, now, turn = SpanDecider(options), 0, 0
    while now < len(flags):
        block = flags[now : now + sizes[turn % len(sizes)]]
        decider.feed(np.array(block, np.bool_))
        now, turn = now + len(block), turn + 1
        progress = decider.progress
        if progress.open_start is not None:
            (span,) = [s for s in spans if s[0] == progress.open_start]
            assert span[1] >= progress.sure_until
        else:
            assert not any(s[0] < progress.sure_until < s[1] for s in spans)


SPEECH = [False] * 100 + [True] * 200 + [False] * 200
"""One second of silence, two of speech, two of silence."""


def one_span(**options: object) -> tuple[int, int]:
    (span,) = frame_by_frame(SPEECH, VadOptions(**options))
    assert in_frames(decide(SPEECH, VadOptions(**options))) == [span]
    return span


def test_the_defaults_on_a_clean_edge() -> None:
    # The window says speech at its 15th frame, 114; the start reaches back 20 + 20 frames. It says
    # silence once only 15 of 20 frames are speech, 304; 100 ms and the closing frame are kept.
    assert one_span() == (74, 316)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"window_ms": 300}, (64, 326)),
        # Below speech_to_sil_ms the switch flutters until the window falls under both.
        ({"sil_to_speech_ms": 50}, (64, 326)),
        ({"speech_to_sil_ms": 50}, (74, 326)),
        ({"lookback_ms": 0}, (94, 316)),
        ({"lookahead_ms": 300}, (74, 336)),
    ],
)
def test_an_option_moves_the_edges_by_what_it_says(
    options: dict[str, int], expected: tuple[int, int]
) -> None:
    assert one_span(**options) == expected


def test_the_closing_silence_decides_whether_a_pause_splits() -> None:
    flags = [True] * 100 + [False] * 50 + [True] * 100
    assert len(decide(flags, VadOptions())) == 1
    assert len(decide(flags, VadOptions(max_end_silence_ms=400))) == 2


def test_a_schedule_loses_patience_as_the_span_grows() -> None:
    flags = ([True] * 100 + [False] * 60) * 4
    patient = VadOptions(silence_schedule=((2_000, 2_000), (4_000, 300)))
    assert len(decide(flags, VadOptions(max_end_silence_ms=2_000))) == 1
    assert in_frames(decide(flags, patient))[0] == (0, 276)


def test_a_span_without_a_pause_is_closed_when_too_long() -> None:
    spans = in_frames(decide([True] * 1000, VadOptions(max_single_segment_ms=3_000)))
    assert spans[0] == (0, 301)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    assert spans[-1][1] == 1000


def test_single_utterance_stops_after_the_first_span() -> None:
    flags = SPEECH * 2
    assert len(decide(flags, VadOptions())) == 2
    assert len(decide(flags, VadOptions(single_utterance=True))) == 1


def test_single_utterance_gives_up_when_nobody_speaks() -> None:
    waiting = VadOptions(single_utterance=True, max_start_silence_ms=1_200)
    hasty = VadOptions(single_utterance=True, max_start_silence_ms=1_000)
    assert len(decide(SPEECH, waiting)) == 1
    assert decide(SPEECH, hasty) == []


def test_no_frames_no_events() -> None:
    decider = SpanDecider(VadOptions())
    assert decider.feed(np.empty(0, np.bool_)) == []
    assert decider.finish() == []
    assert decider.finish() == []


def judge(options: VadOptions, silence: list[float], level_db: list[float]) -> list[bool]:
    judge = _FrameJudge(options)
    flags = judge.flags(np.array(silence, np.float32), np.array(level_db, np.float32))
    return flags.tolist()


def test_a_frame_is_speech_from_the_threshold_on() -> None:
    assert judge(VadOptions(), [0.19, 0.21], [0.0, 0.0]) == [True, False]
    assert judge(VadOptions(speech_noise_threshold=0.5), [0.19, 0.21], [0.0, 0.0]) == [True, True]


def test_a_quiet_frame_is_silence_below_the_level() -> None:
    assert judge(VadOptions(min_level_db=-20.0), [0.1, 0.1], [-21.0, -19.0]) == [False, True]


def test_a_frame_must_stand_out_of_the_noise_before_it() -> None:
    options = VadOptions(min_snr_db=10.0)
    assert judge(options, [0.9, 0.1, 0.1], [-30.0, -21.0, -19.0]) == [False, False, True]
    assert judge(VadOptions(), [0.9, 0.1, 0.1], [-30.0, -21.0, -19.0]) == [False, True, True]


def test_the_noise_level_is_carried_from_block_to_block() -> None:
    judge = _FrameJudge(VadOptions(min_snr_db=10.0))
    judge.flags(np.array([0.9], np.float32), np.array([-30.0], np.float32))
    flags = judge.flags(np.array([0.1, 0.1], np.float32), np.array([-21.0, -19.0], np.float32))
    assert flags.tolist() == [False, True]
