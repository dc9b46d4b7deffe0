"""Words that are parsed when somebody looks: the same as a plain tuple in every way."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import asdict, replace

import pytest

from lingting.store.words import stored_words, words_json
from lingting.transcript import Segment, Word

WORDS = (Word("一", 0.1, 1 / 3, 0.9), Word("二\"'\\", 1 / 3, 0.5, None), Word("", 0.5, 0.5))


def segment(words: tuple[Word, ...]) -> Segment:
    return Segment(0.0, 1.0, "一二", "一二", words=words)


def fresh() -> tuple[Word, ...]:
    return stored_words(json.dumps(words_json(segment(WORDS))))


@pytest.mark.parametrize(
    "look",
    [
        tuple,
        list,
        len,
        bool,
        hash,
        repr,
        lambda words: words[1],
        lambda words: words[-2:],
        lambda words: list(reversed(words)),
        lambda words: WORDS[1] in words,
        lambda words: words.index(WORDS[2]),
        lambda words: words.count(WORDS[0]),
        lambda words: words + (1,),  # noqa: RUF005
        lambda words: (1, *words),
        lambda words: (1,) + words,  # noqa: RUF005 - the addition is what is tested
        lambda words: words * 2,
        lambda words: 2 * words,
        lambda words: dict(zip("abc", words, strict=True)),
        lambda words: (lambda *given: given)(*words),
        lambda words: type(words + ()),  # noqa: RUF005
        lambda words: type(words[:]),
        lambda words: type(copy.deepcopy(words)),
        lambda words: asdict(segment(words)),
        lambda words: json.dumps(asdict(segment(words))),
        lambda words: pickle.dumps(pickle.loads(pickle.dumps(words))),  # noqa: S301 - our own
        lambda words: replace(segment(words), text="x"),
        lambda words: {segment(words): 1},
        lambda words: isinstance(words, tuple),
        lambda words: [one.text for one in words],
        lambda words: words < (*WORDS, 1),
        lambda words: words != [1],
    ],
)
def test_every_look_is_that_of_the_plain_tuple(look: object) -> None:
    assert look(fresh()) == look(WORDS)


def test_equal_both_ways_and_to_itself() -> None:
    assert fresh() == WORDS
    assert WORDS == fresh()  # noqa: SIM300 - the other way round
    assert fresh() == fresh()
    assert fresh() != WORDS[:2]
    assert WORDS[:2] != fresh()
    assert segment(fresh()) == segment(WORDS)
    assert segment(WORDS) == segment(fresh())
    assert segment(fresh()) != segment(())
    assert hash(segment(fresh())) == hash(segment(WORDS))
    assert fresh() != list(WORDS)


def test_nothing_is_parsed_before() -> None:
    segment(stored_words("this is no JSON"))
    with pytest.raises(json.JSONDecodeError):
        len(stored_words("this is no JSON"))
