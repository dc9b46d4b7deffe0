"""What the documents for readers share: the table of facts and paragraphs with their times.

Labels are Chinese for a Chinese recording and English for any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lingting.errors import LanguageUnknown
from lingting.joining import join
from lingting.languages import chinese_name, english_name, is_chinese
from lingting.text.breaking import clean
from lingting.text.writers.options import clock
from lingting.transcript import Segment, Transcript

_PAUSE_S = 2.0
_PARAGRAPH_S = 60.0

_LABELS = {
    "title": ("Transcript", "文字稿"),
    "fact": ("Fact", "项目"),
    "value": ("Value", "内容"),
    "duration": ("Duration", "时长"),
    "speech": ("Speech", "语音时长"),
    "language": ("Language", "语言"),
    "speakers": ("Speakers", "说话人"),
    "model": ("Model", "模型"),
    "failed": ("Passages not recognised", "未能识别的片段"),
    "damage": ("Damage", "损坏"),
    "frames": ("frames lost", "帧丢失"),
    "truncated": ("file is cut short", "文件不完整"),
    "samples": ("samples invalid", "采样无效"),
    "unrecognised": ("not recognised", "未能识别"),
}


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Segments read together. ``text`` is empty where recognition failed."""

    start_s: float
    speaker: str | None
    text: str


def label(transcript: Transcript, key: str) -> str:
    """A label in the reader's language."""
    return _LABELS[key][is_chinese(transcript.language)]


def title(transcript: Transcript, given: str | None) -> str:
    """The heading: ``given`` on one line, or the word for a transcript."""
    return clean(given or "") or label(transcript, "title")


def facts(transcript: Transcript) -> list[tuple[str, str]]:
    """Label and value of everything worth knowing; what is unknown or zero is left out."""
    values = [
        ("duration", clock(transcript.duration_s)),
        ("speech", clock(transcript.speech_s) if transcript.speech_s else ""),
        ("language", _language(transcript)),
        ("speakers", ", ".join(_speakers(transcript))),
        ("model", _model(transcript)),
        ("failed", str(len(transcript.failures) or "")),
        ("damage", _damage(transcript)),
    ]
    return [(label(transcript, key), value) for key, value in values if value]


def paragraphs(transcript: Transcript) -> Iterator[Paragraph]:
    """Paragraphs end where the speaker changes, at a pause of 2 s, and after about a minute."""
    open_segments: list[Segment] = []
    for segment in transcript.segments:
        if segment.failure is None and not clean(segment.text):
            continue
        if open_segments and not _continues(open_segments, segment):
            yield _paragraph(open_segments)
            open_segments = []
        open_segments.append(segment)
    if open_segments:
        yield _paragraph(open_segments)


def _continues(before: Sequence[Segment], segment: Segment) -> bool:
    first, last = before[0], before[-1]
    return (
        last.failure is None
        and segment.failure is None
        and segment.speaker == last.speaker
        and segment.start_s - last.end_s < _PAUSE_S
        and segment.end_s - first.start_s <= _PARAGRAPH_S
    )


def _paragraph(segments: Sequence[Segment]) -> Paragraph:
    text = join(clean(segment.text) for segment in segments)
    speaker = clean(segments[0].speaker or "") or None
    return Paragraph(segments[0].start_s, speaker, text)


def _speakers(transcript: Transcript) -> list[str]:
    names = (clean(segment.speaker) for segment in transcript.segments if segment.speaker)
    return list(dict.fromkeys(names))


def _language(transcript: Transcript) -> str:
    code = transcript.language
    if not code:
        return ""
    try:
        name = chinese_name(code) if is_chinese(code) else english_name(code)
    except LanguageUnknown:
        return code
    return f"{name} ({code})"


def _model(transcript: Transcript) -> str:
    model = transcript.model
    if model is None:
        return ""
    return f"{model.id} ({model.compute})" if model.compute else model.id


def _damage(transcript: Transcript) -> str:
    damage = transcript.damage
    found = []
    if damage.frames:
        found.append(f"{damage.frames} {label(transcript, 'frames')}")
    if damage.truncated:
        found.append(f"{label(transcript, 'truncated')} (-{damage.missing_s:.1f} s)")
    if damage.invalid_samples:
        found.append(f"{damage.invalid_samples} {label(transcript, 'samples')}")
    return ", ".join(found)
