"""Spans to clips: nothing lost, nothing twice, nothing too long; a stream packs like the whole."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingting.transcript import Span
from lingting.vad.decision import NEVER, FrameScores, Progress, SpanDecider, SpeechEnd
from lingting.vad.options import VadOptions
from lingting.vad.pack import ClipMap, PackedClip, Packer, PackOptions, cut, pack

RATE = 16_000


def loud(count: int, quiet: dict[int, float] | None = None) -> FrameScores:
    """``count`` frames at 0 dB; ``quiet`` gives the level of the 200 ms around some of them."""
    level = np.zeros(count, np.float32)
    for frame, db in (quiet or {}).items():
        level[frame - 10 : frame + 10] = db
    return FrameScores(0, np.ones(count, np.float32), level)


def noisy(count: int, seed: int) -> FrameScores:
    level = np.random.default_rng(seed).normal(-20, 10, count).astype(np.float32)
    return FrameScores(0, np.ones(count, np.float32), level)


def frames_of(spans: tuple[Span, ...] | list[Span]) -> list[tuple[int, int]]:
    return [(round(s.start_s * 100), round(s.end_s * 100)) for s in spans]


def rejoined(clips: list[PackedClip]) -> list[tuple[int, int]]:
    """The speech of all clips, parts of one span put together again."""
    joined: list[tuple[int, int]] = []
    for begin, end in frames_of([span for clip in clips for span in clip.speech]):
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


def check_invariants(
    spans: list[tuple[int, int]], clips: list[PackedClip], duration_s: float, options: PackOptions
) -> None:
    touching = [list(spans[0])] if spans else []
    for begin, end in spans[1:]:
        if begin == touching[-1][1]:
            touching[-1][1] = end
        else:
            touching.append([begin, end])
    assert rejoined(clips) == [tuple(span) for span in touching]
    pieces = [piece for clip in clips for piece in clip.pieces]
    assert all(a.end_s <= b.start_s for a, b in pairwise(pieces))
    assert all(piece.start_s >= 0.0 and piece.end_s <= duration_s for piece in pieces)
    for clip in clips:
        assert clip.duration_s <= options.hard_s + 1e-9
        assert clip.end_s - clip.start_s <= options.max_extent_s + 2 * options.margin_s + 1e-9
        for span in clip.speech:
            assert any(p.start_s <= span.start_s and span.end_s <= p.end_s for p in clip.pieces)
        for a, b in pairwise(clip.speech):
            assert b.start_s - a.end_s <= options.max_gap_s + 1e-9


@st.composite
def recordings(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Spans in frames: mostly short gaps, some long ones, some spans longer than a clip."""
    spans, at = [], draw(st.integers(0, 300))
    for _ in range(draw(st.integers(1, 20))):
        length = draw(st.one_of(st.integers(1, 400), st.integers(400, 6_000)))
        spans.append((at, at + length))
        at += length + draw(st.one_of(st.integers(0, 40), st.integers(40, 900)))
    return spans


options = st.builds(
    PackOptions,
    target_s=st.sampled_from([5.0, 12.0, 25.0]),
    hard_s=st.sampled_from([25.0, 30.0]),
    margin_s=st.sampled_from([0.0, 0.15, 0.2]),
    max_pause_s=st.sampled_from([0.0, 0.35, 1.0, 9.0]),
    max_gap_s=st.sampled_from([0.4, 3.0, 8.0]),
    max_extent_s=st.sampled_from([30.0, 60.0]),
)


@settings(max_examples=100, deadline=None)
@given(recordings(), options, st.integers(0, 5), st.floats(0.0, 0.015))
def test_every_span_is_in_exactly_one_clip_and_no_clip_is_too_long(
    spans: list[tuple[int, int]], packing: PackOptions, seed: int, beyond_s: float
) -> None:
    count = spans[-1][1]
    duration_s = count / 100 + beyond_s
    given_spans = [Span(a / 100, b / 100) for a, b in spans]
    clips = pack(given_spans, noisy(count, seed), duration_s, packing)
    check_invariants(spans, clips, duration_s, packing)


@settings(max_examples=100, deadline=None)
@given(
    recordings(),
    options,
    st.lists(st.integers(1, 3_000), min_size=1, max_size=6),
    st.integers(0, 5),
    st.booleans(),
)
def test_a_stream_packs_like_the_whole(
    spans: list[tuple[int, int]], packing: PackOptions, sizes: list[int], seed: int, short: bool
) -> None:
    flags = np.zeros(spans[-1][1] + 200, np.bool_)
    for begin, end in spans:
        flags[begin:end] = True
    frames = noisy(len(flags), seed)
    vad = VadOptions(max_end_silence_ms=300 if short else 800)
    decider, packer, streamed, found = SpanDecider(vad), Packer(packing), [], []
    at = turn = 0
    needed = 0.0
    while at < len(flags):
        size = sizes[turn % len(sizes)]
        events = decider.feed(flags[at : at + size])
        part = FrameScores(at, frames.speech[at : at + size], frames.level_db[at : at + size])
        fresh = packer.feed(events, decider.progress, part)
        # Audio before what was needed has been dropped; a clip never asks for it again.
        assert all(clip.start_s * 100 >= needed - 1e-6 for clip in fresh)
        streamed += fresh
        found += [event.span for event in events if isinstance(event, SpeechEnd)]
        at, turn = at + size, turn + 1
        needed = packer.needed_from_s * 100
        assert at - needed <= (packing.max_extent_s + packing.max_gap_s + 3) * 100 + size
    last = decider.finish()
    found += [event.span for event in last if isinstance(event, SpeechEnd)]
    nothing = FrameScores(at, np.empty(0, np.float32), np.empty(0, np.float32))
    streamed += packer.feed(last, decider.progress, nothing)
    streamed += packer.finish(len(flags) / 100)
    assert streamed == pack(found, frames, len(flags) / 100, packing)
    check_invariants(frames_of(found), streamed, len(flags) / 100, packing)


def test_neighbours_are_joined_up_to_the_target() -> None:
    spans = [Span(float(t), t + 4.0) for t in range(1, 51, 5)]
    clips = pack(spans, loud(6_000), 60.0)
    assert [len(clip.speech) for clip in clips] == [5, 5]
    assert clips[0].pieces == (Span(0.85, 25.15),)


def test_the_longest_pause_of_the_last_part_is_where_clips_part() -> None:
    spans = [Span(0.0, 8.0), Span(8.3, 16.0), Span(16.9, 20.0), Span(20.2, 24.0), Span(24.4, 31.0)]
    clips = pack(spans, loud(3_100), 31.0)
    assert [len(clip.speech) for clip in clips] == [2, 3]


@pytest.mark.parametrize(("end_s", "counts"), [(29.0, [3]), (30.5, [2, 1])])
def test_the_last_words_are_not_left_alone(end_s: float, counts: list[int]) -> None:
    spans = [Span(0.0, 12.0), Span(12.3, 24.0), Span(24.5, end_s)]
    assert [len(clip.speech) for clip in pack(spans, loud(3_100), 31.0)] == counts
    followed = [*spans, Span(45.0, 50.0)]  # too far away to share a clip
    assert [len(clip.speech) for clip in pack(followed, loud(5_100), 51.0)] == [*counts, 1]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    frames = loud(4_000, {1_200: -60.0, 1_900: -30.0, 2_300: -10.0})
    clips = pack([Span(0.0, 40.0)], frames, 40.0)
    assert len(clips) == 2
    assert abs(clips[0].end_s - 19.0) <= 0.1  # 12 s is too early, 23 s is louder
    assert clips[1].start_s == clips[0].end_s


def test_a_span_between_target_and_hard_stays_whole() -> None:
    (clip,) = pack([Span(1.0, 30.0)], loud(4_000), 40.0)
    assert clip.pieces == (Span(0.85, 30.15),)
    assert len(pack([Span(1.0, 31.0)], loud(4_000), 40.0)) == 2


def test_three_minutes_without_a_pause() -> None:
    clips = pack([Span(0.0, 180.0)], noisy(18_000, 1), 180.0)
    assert rejoined(clips) == [(0, 18_000)]
    assert all(14.0 <= clip.duration_s <= 25.0 for clip in clips[:-1])


def test_a_long_pause_is_shortened_and_a_longer_one_parts_clips() -> None:
    spans = [Span(1.0, 3.0), Span(6.0, 8.0), Span(19.0, 20.0)]
    clips = pack(spans, loud(2_500), 25.0)
    assert [clip.pieces for clip in clips] == [
        (Span(0.85, 3.5), Span(5.5, 8.15)),
        (Span(18.85, 20.15),),
    ]


def test_margins_end_with_the_file_and_never_meet() -> None:
    spans = [Span(0.05, 1.0), Span(1.1, 24.0), Span(24.1, 29.98)]
    clips = pack(spans, loud(2_998), 29.991)
    assert clips[0].start_s == 0.0
    assert clips[-1].end_s == 29.991
    assert clips[0].end_s == clips[1].start_s == 24.05


def test_no_speech_no_clips() -> None:
    assert pack([], loud(100), 1.0) == []
    assert pack([], loud(0), 0.0) == []


def test_spans_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        pack([Span(1.0, 2.0), Span(1.5, 3.0)], loud(400), 4.0)


def test_a_clip_is_out_as_soon_as_nothing_can_join_it() -> None:
    packer = Packer()
    frames = loud(1_400)
    first = SpeechEnd(Span(1.0, 3.0))
    assert packer.feed([first], Progress(None, 1_200), frames) == []
    nothing = FrameScores(1_400, np.empty(0, np.float32), np.empty(0, np.float32))
    (clip,) = packer.feed([], Progress(None, 1_301), nothing)
    assert clip.speech == (Span(1.0, 3.0),)


def test_audio_that_was_not_heard_is_no_margin() -> None:
    packer = Packer()
    last = SpeechEnd(Span(1.0, 3.0))
    assert packer.feed([last], Progress(None, NEVER), loud(305)) == []
    (clip,) = packer.finish(3.05)
    assert clip.end_s == 3.05


pieces = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 900)), min_size=1, max_size=8).map(
    lambda drawn: tuple(
        Span(
            sum(g + n for g, n in drawn[:i]) / 100 + drawn[i][0] / 100,
            sum(g + n for g, n in drawn[: i + 1]) / 100,
        )
        for i in range(len(drawn))
    )
)


@settings(max_examples=100, deadline=None)
@given(pieces, st.lists(st.floats(-1.0, 80.0), min_size=2, max_size=20), st.booleans())
def test_file_times_rise_and_lie_inside_a_piece(
    parts: tuple[Span, ...], times: list[float], end: bool
) -> None:
    clip_map = ClipMap(parts)
    mapped = [clip_map.to_file_time(t, end=end) for t in sorted(times)]
    assert all(a <= b for a, b in pairwise(mapped))
    assert all(any(p.start_s <= t <= p.end_s for p in parts) for t in mapped)


def test_a_joint_belongs_to_the_word_that_ends_or_begins_there() -> None:
    clip_map = ClipMap((Span(1.0, 3.0), Span(6.0, 8.0)))
    assert clip_map.duration_s == 4.0
    assert clip_map.to_file_time(2.0) == 6.0
    assert clip_map.to_file_time(2.0, end=True) == 3.0
    assert clip_map.to_file_time(2.5) == 6.5
    assert clip_map.to_file_time(-1.0) == 1.0
    assert clip_map.to_file_time(99.0) == 8.0


def test_cut_takes_exactly_the_pieces() -> None:
    samples = np.arange(10 * RATE, dtype=np.float32)
    clip = PackedClip((Span(1.0, 2.0), Span(4.0, 4.5)), (Span(1.0, 2.0),))
    expected = np.concatenate((samples[RATE : 2 * RATE], samples[4 * RATE : 9 * RATE // 2]))
    assert np.array_equal(cut(samples, clip), expected)
    assert np.array_equal(cut(samples[RATE:], clip, first_sample=RATE), expected)
    with pytest.raises(ValueError, match="whole clip"):
        cut(samples[: 4 * RATE], clip)
    with pytest.raises(ValueError, match="whole clip"):
        cut(samples[2 * RATE :], clip, first_sample=2 * RATE)
