"""Hypotheses to segments in file time, with the spoken and the written form of their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lingting.engines.base import Hypothesis
from lingting.languages import is_chinese
from lingting.pipeline.options import PipelineOptions
from lingting.text.edits import Written, compose
from lingting.text.sentences import Utterance, utterances
from lingting.transcript import Failure, Segment, Word
from lingting.vad.speech import ReadyClip


def segments_of(
    clip: ReadyClip, hypothesis: Hypothesis, options: PipelineOptions, channel: int | None = None
) -> list[Segment]:
    """A hypothesis as segments in file time, with both layers of text."""
    if options.translate:
        hypothesis = replace(hypothesis, language="en")  # that of the text, no more of the speech
    if hypothesis.error is not None:
        failure = Failure(hypothesis.error.code, str(hypothesis.error))
        return [_bare(clip, hypothesis, channel, failure)]
    if not hypothesis.text:
        has_something = hypothesis.notes or hypothesis.events
        return [_bare(clip, hypothesis, channel, None)] if has_something else []
    words = _file_words(clip, hypothesis.words)
    found = utterances(hypothesis.text, words)
    return [_segment(clip, hypothesis, one, options, channel, len(found)) for one in found]


def _bare(
    clip: ReadyClip, hypothesis: Hypothesis, channel: int | None, failure: Failure | None
) -> Segment:
    return Segment(
        clip.start_s,
        clip.end_s,
        "",
        "",
        language=hypothesis.language,
        channel=channel,
        emotion=hypothesis.emotion,
        events=hypothesis.events,
        notes=hypothesis.notes,
        failure=failure,
    )


def _file_words(clip: ReadyClip, words: Sequence[Word]) -> tuple[Word, ...]:
    return tuple(
        replace(
            word,
            start_s=round(clip.map.to_file_time(word.start_s), 3),
            end_s=round(clip.map.to_file_time(word.end_s, end=True), 3),
        )
        for word in words
    )


def _segment(
    clip: ReadyClip,
    hypothesis: Hypothesis,
    utterance: Utterance,
    options: PipelineOptions,
    channel: int | None,
    parts: int,
) -> Segment:
    spoken = hypothesis.text[utterance.start : utterance.end].strip()
    written = write_form(spoken, hypothesis.language, options)
    words = utterance.words
    is_timed = bool(words) and parts > 1
    start_s = words[0].start_s if is_timed else clip.start_s
    end_s = words[-1].end_s if is_timed else clip.end_s
    known = [word.confidence for word in words if word.confidence is not None]
    confidence = sum(known) / len(known) if known and is_timed else hypothesis.confidence
    return Segment(
        start_s=round(start_s, 3),
        end_s=round(max(start_s, end_s), 3),
        text=written.text,
        spoken=spoken,
        language=hypothesis.language,
        words=words,
        words_source=hypothesis.words_source if words else None,
        edits=written.edits,
        confidence=None if confidence is None else round(confidence, 4),
        channel=channel,
        emotion=hypothesis.emotion,
        events=hypothesis.events,
        notes=hypothesis.notes,
    )


def write_form(spoken: str, language: str | None, options: PipelineOptions) -> Written:
    """Script, full-width marks, inverse text normalisation; all as one list of edits."""
    from lingting.text.itn import normalize
    from lingting.text.punctuation import widen
    from lingting.text.script import convert

    written = Written(spoken)
    if options.script != "as-is" and is_chinese(language):
        written = convert(spoken, options.script)
    if is_chinese(language) or language == "ja":
        written = _then(written, widen(written.text))
    if options.itn and language is not None:
        written = _then(written, normalize(written.text, language))
    return written


def _then(first: Written, second: Written) -> Written:
    return Written(second.text, compose(first.edits, second.edits))
