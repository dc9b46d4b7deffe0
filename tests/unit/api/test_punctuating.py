"""Marks reach the text and its words; whatever goes wrong with them, the words stay."""

from __future__ import annotations

import numpy as np
import pytest

from lingting.api.punctuating import PunctuatedEngine
from lingting.engines.base import Clip, Engine, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import EngineFailed
from lingting.transcript import Word

CLIP = Clip(np.zeros(32_000, np.float32))
WORDS = tuple(Word(char, at / 10, (at + 1) / 10) for at, char in enumerate("你好再见"))
HEARD = Hypothesis("你好再见", "zh", words=WORDS, words_source="toolkit")


class Marker:
    """Says what it is told to."""

    def __init__(self, answer: str | EngineFailed) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.is_closed = False

    def punctuate(self, text: str) -> str:
        self.asked.append(text)
        if isinstance(self.answer, EngineFailed):
            raise self.answer
        return self.answer

    def close(self) -> None:
        self.is_closed = True


def marked(heard: Hypothesis, answer: str | EngineFailed) -> Hypothesis:
    engine: Engine = PunctuatedEngine(ScriptedEngine(lambda _: heard), Marker(answer))
    (found,) = engine.recognize([CLIP])
    return found


def test_marks_join_the_words_before_them() -> None:
    found = marked(HEARD, "你好，再见。")
    assert found.text == "你好，再见。"
    assert [word.text for word in found.words] == ["你", "好，", "再", "见。"]
    assert [(w.start_s, w.end_s) for w in found.words] == [(w.start_s, w.end_s) for w in WORDS]
    assert (found.language, found.words_source, found.notes) == ("zh", "toolkit", ())


def test_a_text_without_words() -> None:
    assert marked(Hypothesis("你好再见", "zh"), "你好，再见。").text == "你好，再见。"


@pytest.mark.parametrize("answer", [EngineFailed("It stopped."), "您好。"])
def test_what_fails_leaves_the_text_and_a_note(answer: str | EngineFailed) -> None:
    found = marked(HEARD, answer)
    assert (found.text, found.words) == (HEARD.text, WORDS)
    assert found.notes == ("punctuation.failed",)


def test_nothing_heard_is_not_asked_about() -> None:
    marker = Marker("。")
    error = EngineFailed("It stopped.")
    engine = PunctuatedEngine(ScriptedEngine(lambda _: Hypothesis("", error=error)), marker)
    assert engine.recognize([CLIP])[0].error is error
    assert marker.asked == []
    engine.close()
    assert marker.is_closed
