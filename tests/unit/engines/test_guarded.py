"""The guard around an engine: what is asked again, what is kept, what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lingting.engines.base import SAMPLE_RATE_HZ, Clip, Hypothesis, RecognizeOptions
from lingting.engines.guarded import GuardedEngine
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import AudioTooLong, EngineFailed, ModelCannot
from lingting.transcript import Word

Script = Callable[[Clip], Hypothesis]
LOOP = "我们去公园。" + "好的" * 12


def clip(seconds: float = 10.0, mark: float = 0.0, **facts: object) -> Clip:
    """A clip whose samples all equal ``mark``, so that a script can tell it and its parts."""
    options = RecognizeOptions("zh", hotwords=("通义",), prompt="背景", words=True)
    samples = np.full(round(seconds * SAMPLE_RATE_HZ), mark, np.float32)
    made = Clip(samples, options, speech_s=seconds, speech_score=0.9)
    return replace(made, **facts)  # type: ignore[arg-type]


class Asked:
    """An engine that remembers every clip it was given, request by request."""

    def __init__(self, script: Script, *, has_careful: bool = True) -> None:
        self.requests: list[list[Clip]] = []
        self._inner = ScriptedEngine(script, has_careful=has_careful)
        self.facts = self._inner.facts
        self.close = self._inner.close

    def recognize(self, clips: list[Clip]) -> list[Hypothesis]:
        self.requests.append(list(clips))
        return self._inner.recognize(clips)


def guarded(script: Script, clips: list[Clip]) -> tuple[list[Hypothesis], list[list[Clip]]]:
    asked = Asked(script)
    found = GuardedEngine(asked).recognize(clips)
    return found, asked.requests


def sure(text: str, confidence: float = 0.9, **facts: object) -> Hypothesis:
    return Hypothesis(text, "zh", confidence=confidence, **facts)  # type: ignore[arg-type]


def test_sound_text_costs_nothing_and_comes_through_untouched() -> None:
    answer = sure("今天天气不错。", words=(Word("今", 0, 1),), notes=("language.yue_as_zh",))
    found, requests = guarded(lambda _: answer, [clip(), clip()])
    assert found == [answer, answer]
    assert [len(request) for request in requests] == [2]


def test_what_is_to_be_translated_is_refused_by_a_model_that_cannot() -> None:
    plain = clip()
    translated = replace(plain, options=replace(plain.options, translate=True))
    found, requests = guarded(lambda _: sure("今天天气不错。"), [translated, plain, translated])
    assert [type(one.error) for one in found] == [ModelCannot, type(None), ModelCannot]
    assert [one.text for one in found] == ["", "今天天气不错。", ""]
    assert requests == [[plain]]


def test_no_clips() -> None:
    found, _ = guarded(lambda _: sure("好"), [])
    assert found == []


def test_only_doubtful_clips_are_heard_again_and_order_is_kept() -> None:
    def script(given: Clip) -> Hypothesis:
        number = int(given.samples[0] * 10 + 0.5)
        is_first_hearing = not given.options.careful
        if number in (1, 3) and is_first_hearing:
            return sure(f"第{number}段" + "的" * 20)
        return sure(f"第{number}段")

    found, requests = guarded(script, [clip(mark=at / 10) for at in range(5)])
    assert [one.text for one in found] == [f"第{at}段" for at in range(5)]
    assert [round(float(c.samples[0]) * 10) for c in requests[1]] == [1, 3]
    assert len(requests) == 2
    assert [one.notes for one in found] == [
        (),
        ("guard.retried", "guard.loop"),
        (),
        ("guard.retried", "guard.loop"),
        (),
    ]


def test_the_second_hearing_is_careful_and_knows_no_prompt() -> None:
    _, requests = guarded(lambda _: sure(LOOP), [clip(3.0)])
    first, second = (request[0].options for request in requests)
    assert (first.careful, first.prompt, first.hotwords) == (False, "背景", ("通义",))
    assert (second.careful, second.prompt, second.hotwords) == (True, "", ())
    assert second.words
    assert second.temperature == 0.0
    assert second.language == "zh"


def test_a_detected_language_is_kept_for_the_second_hearing() -> None:
    answer = Hypothesis(LOOP, "ja", language_confidence=0.8, confidence=0.9)
    _, requests = guarded(lambda _: answer, [clip(3.0, options=RecognizeOptions())])
    assert requests[1][0].options.language == "ja"


def test_fewer_doubts_win_over_probability() -> None:
    def script(given: Clip) -> Hypothesis:
        return sure("好的，我们走。", 0.4) if given.options.careful else sure(LOOP, 0.95)

    (found,), _ = guarded(script, [clip(3.0)])
    assert found.text == "好的，我们走。"
    assert found.confidence == 0.4


def test_of_equal_doubts_the_more_probable_is_kept() -> None:
    def script(given: Clip) -> Hypothesis:
        return sure("第二次", 0.12) if given.options.careful else sure("第一次", 0.2)

    (found,), _ = guarded(script, [clip(3.0)])
    assert found.text == "第一次"
    assert found.notes == ("doubt.faint",)


def test_a_loop_that_stays_is_cut_and_marked() -> None:
    words = tuple(
        Word(char, i / 10, (i + 1) / 10) for i, char in enumerate("我们去公园。" + "好的" * 12)
    )
    (found,), requests = guarded(lambda _: sure(LOOP, words=words), [clip(3.0)])
    assert found.text == "我们去公园。好的"
    assert [word.text for word in found.words] == list("我们去公园。好的")
    assert "guard.loop_cut" in found.notes
    assert "doubt.loop" in found.notes
    assert len(requests) == 2, "a clip this short is not heard in parts"


def test_a_looping_clip_is_heard_in_parts_and_their_words_move_to_their_place() -> None:
    def script(given: Clip) -> Hypothesis:
        if given.duration_s > 8:
            return sure(LOOP)
        return sure("甲乙。", words=(Word("甲", 0.5, 1.0), Word("乙。", 1.0, given.duration_s)))

    (found,), requests = guarded(script, [clip(10.0)])
    parts = requests[2]
    assert len(parts) == 2
    assert sum(len(part.samples) for part in parts) == 10 * SAMPLE_RATE_HZ
    assert found.text == "甲乙。甲乙。"
    assert "guard.split" in found.notes
    split_s = parts[0].duration_s
    assert [(w.text, w.start_s, w.end_s) for w in found.words] == [
        ("甲", 0.5, 1.0),
        ("乙。", 1.0, split_s),
        ("甲", split_s + 0.5, split_s + 1.0),
        ("乙。", split_s + 1.0, 10.0),
    ]
    assert all(part.options.careful for part in parts)
    assert all(part.options.prompt == "" and not part.options.hotwords for part in parts)
    assert sum(part.speech_s or 0 for part in parts) == pytest.approx(10.0)


def test_parts_are_the_samples_of_the_clip_in_order() -> None:
    samples = np.linspace(-1, 1, 25 * SAMPLE_RATE_HZ).astype(np.float32)
    _, requests = guarded(lambda _: sure(LOOP), [clip(25.0, samples=samples)])
    for request in requests[2:3]:
        assert np.array_equal(np.concatenate([part.samples for part in request]), samples)


@pytest.mark.parametrize("extra", [0, 77, 1599])
def test_the_cut_falls_into_the_pause_near_the_middle(extra: int) -> None:
    total = 10 * SAMPLE_RATE_HZ + extra
    noise = np.random.default_rng(7).standard_normal(total).astype(np.float32) / 10
    noise[int(4.6 * SAMPLE_RATE_HZ) : int(4.9 * SAMPLE_RATE_HZ)] *= 0.3
    _, requests = guarded(lambda _: sure(LOOP), [clip(10.0, samples=noise)])
    assert 4.6 < requests[2][0].duration_s < 4.9


@pytest.mark.parametrize("seconds", [4.0, 12.0, 30.0])
def test_halving_ends(seconds: float) -> None:
    found, requests = guarded(lambda _: sure(LOOP), [clip(seconds)])
    assert len(requests) <= 2 + 3
    assert max(len(request) for request in requests) <= 8
    assert found[0].text
    assert "好的好的" not in found[0].text


def test_what_loops_in_a_part_is_cut_there() -> None:
    def script(given: Clip) -> Hypothesis:
        return sure("对" * 30 if given.duration_s < 4 else LOOP)

    (found,), _ = guarded(script, [clip(5.0)])
    assert found.text == "对对"


def test_many_clips_in_parts_keep_to_themselves() -> None:
    def script(given: Clip) -> Hypothesis:
        number = round(float(given.samples[0]) * 10)
        return sure(LOOP) if given.duration_s > 8 else sure(f"段落{number}。")

    found, requests = guarded(script, [clip(10.0, mark=at / 10) for at in range(4)])
    assert [one.text for one in found] == [f"段落{at}。段落{at}。" for at in range(4)]
    assert [len(request) for request in requests] == [4, 4, 8]


def test_a_faint_clip_is_not_heard_in_parts() -> None:
    (found,), requests = guarded(lambda _: sure("什么", 0.15), [clip(20.0)])
    assert len(requests) == 2
    assert found.text == "什么"


@pytest.mark.parametrize("error", [AudioTooLong("Too long."), EngineFailed("Broken.")])
def test_an_error_is_left_as_it_is(error: Exception) -> None:
    def script(given: Clip) -> Hypothesis:
        if given.samples[0] > 0:
            raise error
        return sure("好的")

    found, requests = guarded(script, [clip(), clip(mark=0.5), clip()])
    assert [one.text for one in found] == ["好的", "", "好的"]
    assert found[1].error is error
    assert len(requests) == 1


def test_an_error_of_a_second_hearing_costs_nothing() -> None:
    def script(given: Clip) -> Hypothesis:
        if given.options.careful:
            raise EngineFailed("Broken.")
        return sure(LOOP)

    (found,), _ = guarded(script, [clip()])
    assert found.error is None
    assert found.text == "我们去公园。好的"
    assert "guard.loop_cut" in found.notes


def test_an_error_of_one_part_costs_nothing() -> None:
    def script(given: Clip) -> Hypothesis:
        if given.duration_s < 8:
            raise EngineFailed("Broken.")
        return sure(LOOP)

    (found,), _ = guarded(script, [clip()])
    assert found.error is None
    assert found.text == "我们去公园。好的"


@pytest.mark.parametrize(
    "answer", [sure("谢谢观看", 0.05), sure("[Music]"), sure("谢谢观看", 0.5, no_speech=0.9)]
)
def test_text_on_noise_is_dropped_with_a_note(answer: Hypothesis) -> None:
    answer = replace(answer, words=(Word("谢", 0, 1),))
    (found,), _ = guarded(lambda _: answer, [clip(speech_score=0.5)])
    assert (found.text, found.words) == ("", ())
    assert "guard.non_speech" in found.notes
    assert found.error is None


@pytest.mark.parametrize(
    ("second", "text"),
    [
        (sure("you", 0.25, no_speech=0.9), ""),  # surer of the words, and no less of the silence
        (sure("you", 0.7, no_speech=0.9), "you"),
        (sure("you", 0.25, no_speech=0.1), "you"),
    ],
)
def test_what_was_noise_at_first_must_be_surer_to_be_speech(second: Hypothesis, text: str) -> None:
    first = sure("So.", 0.03, no_speech=0.9)
    (found,), _ = guarded(
        lambda given: second if given.options.careful else first, [clip(speech_score=0.7)]
    )
    assert found.text == text
    (alone,), _ = guarded(lambda _: second, [clip(speech_score=0.7)])
    assert alone.text == "you"


@pytest.mark.parametrize("text", ["好好好", "no no no", "哈哈哈哈", "谢谢", "bye bye"])
def test_natural_repeats_are_kept_whole(text: str) -> None:
    (found,), _ = guarded(lambda _: sure(text), [clip(3.0)])
    assert found.text == text


def test_a_text_said_twice_up_to_the_length_limit_is_said_once() -> None:
    answer = sure("我们走吧。我们走吧。", is_cut=True)
    (found,), _ = guarded(lambda _: answer, [clip(3.0)])
    assert found.text == "我们走吧。"
    assert "doubt.twice" in found.notes


def test_nothing_heard_twice_stays_nothing_and_is_said() -> None:
    (found,), requests = guarded(lambda _: Hypothesis("", "zh"), [clip(10.0)])
    assert found.text == ""
    assert "doubt.empty" in found.notes
    assert len(requests) == 2


def test_closing_and_facts_are_those_of_the_engine_inside() -> None:
    inner = ScriptedEngine(lambda _: sure("好"))
    engine = GuardedEngine(inner)
    assert engine.facts == inner.facts
    engine.close()
    with pytest.raises(EngineFailed):
        engine.recognize([clip()])


# Engines without a careful way of their own


def guarded_plainly(script: Script, given: Clip) -> tuple[Hypothesis, list[list[Clip]]]:
    asked = Asked(script, has_careful=False)
    (found,) = GuardedEngine(asked).recognize([given])
    return found, asked.requests


def test_a_request_that_cannot_end_otherwise_is_not_made_again() -> None:
    given = clip(12.0, options=RecognizeOptions("zh", words=True))

    def script(part: Clip) -> Hypothesis:
        return sure(LOOP if part.duration_s > 9 else next(parts))

    parts = iter(("好的，我们走。", "明天再见。"))
    found, requests = guarded_plainly(script, given)
    assert [len(request) for request in requests] == [1, 2]
    assert sum(part.duration_s for part in requests[1]) == 12.0
    assert found.text == "好的，我们走。明天再见。"
    assert found.notes == ("guard.split", "guard.loop")


def test_what_cannot_be_heard_otherwise_or_in_parts_is_marked() -> None:
    given = clip(3.0, options=RecognizeOptions("zh"))
    found, requests = guarded_plainly(lambda _: sure(LOOP, is_cut=True), given)
    assert len(requests) == 1
    assert "doubt.loop" in found.notes
    assert "guard.loop_cut" in found.notes
    assert len(found.text) < len(LOOP)


@pytest.mark.parametrize(
    "options",
    [
        RecognizeOptions("zh", prompt="背景"),
        RecognizeOptions("zh", hotwords=("通义",)),
        RecognizeOptions("zh", temperature=0.4),
        RecognizeOptions(),  # the language that was heard is given the second time
    ],
    ids=["prompt", "hotwords", "temperature", "language"],
)
def test_a_request_that_can_be_made_otherwise_is(options: RecognizeOptions) -> None:
    _, requests = guarded_plainly(lambda _: sure(LOOP), clip(3.0, options=options))
    assert len(requests) == 2
    assert replace(requests[1][0].options, careful=False) == RecognizeOptions("zh", prompt="")


def test_only_what_can_be_heard_otherwise_is_heard_again() -> None:
    """Clips that are asked again and those that are not keep their own answers."""
    plain = clip(12.0, 0.1, options=RecognizeOptions("zh"))
    prompted = clip(12.0, 0.2, options=RecognizeOptions("zh", prompt="背景"))

    def script(given: Clip) -> Hypothesis:
        mark = round(float(given.samples[0]) * 10)
        if mark == 1:
            return sure(LOOP if given.duration_s > 9 else "第一段。")
        return sure("第二段。" if given.options.careful else LOOP)

    asked = Asked(script, has_careful=False)
    found = GuardedEngine(asked).recognize([plain, prompted])
    assert [[c.duration_s for c in request] for request in asked.requests][:2] == [
        [12.0, 12.0],
        [12.0],
    ]
    assert len(asked.requests[2]) == 2
    assert [one.text for one in found] == ["第一段。第一段。", "第二段。"]


def test_what_the_engine_said_of_the_first_request_stays_with_a_later_hearing() -> None:
    options = RecognizeOptions("zh", hotwords=("沧浪之歌",))

    def script(given: Clip) -> Hypothesis:
        if given.options.hotwords:
            return replace(sure(LOOP), notes=("hotwords.unsupported",))
        return sure("第二段。")

    asked = Asked(script, has_careful=False)
    (found,) = GuardedEngine(asked).recognize([clip(3.0, options=options)])
    assert found.text == "第二段。"
    assert {"hotwords.unsupported", "guard.retried", "guard.loop"} <= set(found.notes)
