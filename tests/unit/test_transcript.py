"""The values that recognition yields: what they refuse, and their JSON form."""

import json
import math
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingting.transcript import (
    SCHEMA,
    Damage,
    Edit,
    Failure,
    ModelFacts,
    Segment,
    Span,
    Transcript,
    Word,
    shift,
)

TIMES = st.floats(0, 1e5, allow_nan=False)
TEXT = st.text(max_size=12)


@st.composite
def words(draw: st.DrawFn) -> Word:
    begin, end = sorted((draw(TIMES), draw(TIMES)))
    return Word(draw(TEXT), begin, end, draw(st.none() | st.floats(0, 1)))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    begin, end = sorted((draw(TIMES), draw(TIMES)))
    numbers = st.integers(0, 99)
    edits = st.builds(Edit, numbers, numbers, numbers, numbers, st.just("itn"))
    return Segment(
        begin,
        end,
        draw(TEXT),
        draw(TEXT),
        language=draw(st.sampled_from([None, "zh", "en"])),
        words=tuple(draw(st.lists(words(), max_size=3))),
        edits=tuple(draw(st.lists(edits, max_size=2))),
        confidence=draw(st.none() | st.floats(0, 1)),
        speaker=draw(st.none() | TEXT),
        channel=draw(st.none() | st.integers(0, 7)),
        notes=tuple(draw(st.lists(TEXT, max_size=2))),
        failure=draw(st.none() | st.builds(Failure, TEXT, TEXT)),
    )


TRANSCRIPTS = st.builds(
    Transcript,
    segments=st.lists(segments(), max_size=3).map(tuple),
    duration_s=TIMES,
    language=st.sampled_from([None, "zh"]),
    speech_s=TIMES,
    sample_rate_hz=st.none() | st.just(8_000),
    channels=st.none() | st.just(2),
    damage=st.builds(Damage, st.integers(0, 9), st.booleans(), TIMES, st.integers(0, 9)),
    model=st.none() | st.builds(ModelFacts, TEXT, st.none() | TEXT, st.none() | TEXT),
    notes=st.lists(TEXT, max_size=2).map(tuple),
)


@given(TRANSCRIPTS)
def test_json_form_is_read_back_to_an_equal_value(transcript: Transcript) -> None:
    written = json.loads(json.dumps(transcript.as_dict(), ensure_ascii=False))
    assert Transcript.from_dict(written) == transcript
    assert Transcript.from_dict(transcript.as_dict()) == transcript
    assert written["schema"] == SCHEMA
    assert written["text"] == transcript.text


@pytest.mark.parametrize("schema", [None, "", "lingting.transcript/2", 1])
def test_another_schema_is_refused(schema: object) -> None:
    data = {**Transcript((), 1.0).as_dict(), "schema": schema}
    with pytest.raises(ValueError, match="schema"):
        Transcript.from_dict(data)


def test_reading_leaves_the_given_form_as_it_was() -> None:
    data = Transcript((Segment(0, 1, "a", "a", words=(Word("a", 0, 1),)),), 1.0).as_dict()
    before = json.dumps(data)
    Transcript.from_dict(data)
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(2.0, 1.0), (-0.1, 1.0), (math.nan, 1), (0, math.nan)]
)
def test_times_that_run_backwards_are_refused(start_s: float, end_s: float) -> None:
    with pytest.raises(ValueError, match="ordered"):
        Span(start_s, end_s)
    with pytest.raises(ValueError, match="ordered"):
        Segment(start_s, end_s, "", "")


def test_texts_are_joined_as_their_scripts_ask() -> None:
    parts = (Segment(0, 1, "1234元。", "一千二百三十四元。"), Segment(1, 2, "", ""))
    transcript = Transcript(
        (*parts, Segment(2, 3, "Good.", "good."), Segment(3, 4, "Bye.", "bye.")), 4
    )
    assert transcript.text == "1234元。Good. Bye."
    assert transcript.spoken == "一千二百三十四元。good. bye."


def test_failures_are_those_of_the_segments_in_order() -> None:
    failures = [Failure("engine.failed", "one"), Failure("audio.too_long", "two")]
    made = [Segment(i, i + 1, "", "", failure=one) for i, one in enumerate([None, *failures])]
    assert Transcript(tuple(made), 3).failures == tuple(failures)


@pytest.mark.parametrize(
    ("damage", "is_damaged"),
    [
        (Damage(), False),
        (Damage(frames=1), True),
        (Damage(truncated=True, missing_s=2), True),
        (Damage(invalid_samples=3), True),
    ],
)
def test_damage_is_true_when_something_was_lost(damage: Damage, is_damaged: bool) -> None:
    assert bool(damage) is is_damaged


def test_shift_moves_words_too() -> None:
    moved = shift(Segment(1, 2, "a b", "a b", words=(Word("a", 1, 1.5), Word("b", 1.5, 2))), 10)
    assert (moved.start_s, moved.end_s) == (11, 12)
    assert [(w.text, w.start_s, w.end_s) for w in moved.words] == [("a", 11, 11.5), ("b", 11.5, 12)]


def test_values_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Span(0, 1).start_s = 2  # type: ignore[misc]
    assert Span(1.0, 3.5).duration_s == 2.5
    assert Segment(1.0, 3.5, "", "").duration_s == 2.5
