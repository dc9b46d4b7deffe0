"""Transcripts in OpenAI's formats."""

import json
import math
from dataclasses import replace

import pytest
import srt
import webvtt

from lingting.errors import AudioDamaged, AudioNotMedia, ModelNotInstalled, RequestConflict
from lingting.jobs import JobOptions
from lingting.server.openai.answers import answer_of, diarized_segments
from lingting.server.openai.fields import Wanted
from lingting.server.openai.shape import is_here, shaped, status_of
from lingting.server.openai.streaming import Told
from lingting.transcript import Edit, Failure, Segment, Transcript, Word

SEGMENTS = (
    Segment(
        0.5, 2.0, "一共1234元。", "一共一千二百三十四元。", "zh", confidence=0.5,
        words=(Word("一共", 0.5, 0.9), Word("一千二百三十四", 0.9, 1.6), Word("元", 1.6, 1.9)),
        edits=(Edit(2, 9, 2, 6, "itn"),),
    ),
    Segment(2.5, 2.9, "", "", failure=Failure("engine.failed", "It failed.")),
    Segment(3.0, 5.25, "See you <tomorrow>.", "See you <tomorrow>.", "en"),
)  # fmt: skip
WHOLE = Transcript(SEGMENTS, 6.02, "zh")


def wanted(format: str, *granularities: str, is_whisper: bool = False) -> Wanted:
    return Wanted(
        "auto", JobOptions(), format, frozenset(granularities or {"segment"}),
        is_whisper=is_whisper,
    )  # fmt: skip


def data_of(format: str, *granularities: str, is_whisper: bool = False) -> dict[str, object]:
    kind, body = answer_of(wanted(format, *granularities, is_whisper=is_whisper), WHOLE)
    assert kind == "application/json"
    found: dict[str, object] = json.loads(body)
    return found


def test_json_has_text_languages_usage_and_gaps() -> None:
    assert data_of("json") == {
        "text": WHOLE.text,
        "languages": [{"code": "zh"}, {"code": "en"}],
        "failures": [{"start": 2.5, "end": 2.9, "code": "engine.failed", "message": "It failed."}],
        "usage": {"type": "duration", "seconds": 7},
    }


def test_text_is_bare_and_ends_with_a_line() -> None:
    kind, body = answer_of(wanted("text"), WHOLE)
    assert (kind, body.decode()) == ("text/plain; charset=utf-8", WHOLE.text + "\n")


def test_subtitles_are_read_by_others() -> None:
    kind, body = answer_of(wanted("srt"), WHOLE)
    found = list(srt.parse(body.decode()))
    assert kind.startswith("application/x-subrip")
    assert [one.index for one in found] == list(range(1, len(found) + 1))
    assert "1234元" in found[0].content
    kind, body = answer_of(wanted("vtt"), WHOLE)
    assert kind.startswith("text/vtt")
    assert body.startswith(b"WEBVTT\n")
    cues = webvtt.from_string(body.decode())
    assert len(cues) == len(found)
    assert cues[0].start_in_seconds >= 0


def test_the_verbose_form_has_every_field_the_client_demands() -> None:
    found = data_of("verbose_json")
    assert (found["task"], found["language"], found["duration"]) == ("transcribe", "zh", 6.02)
    first, second = found["segments"]  # type: ignore[misc]  # the gap has no text and no place
    assert first == {
        "id": 0, "seek": 50, "start": 0.5, "end": 2.0, "text": "一共1234元。", "tokens": [],
        "temperature": 0.0, "avg_logprob": round(math.log(0.5), 4),
        "compression_ratio": first["compression_ratio"], "no_speech_prob": 0.0,
    }  # fmt: skip
    assert first["compression_ratio"] > 0
    assert (second["id"], second["avg_logprob"]) == (1, 0.0)
    assert "words" not in found


def test_words_are_top_level_and_of_the_written_text() -> None:
    found = data_of("verbose_json", "word")
    assert found["words"] == [
        {"word": "一共", "start": 0.5, "end": 0.9},
        {"word": "1234", "start": 0.9, "end": 1.6},
        {"word": "元", "start": 1.6, "end": 1.9},
    ]
    assert "segments" not in found
    assert "segments" in data_of("verbose_json", "word", "segment")


def test_the_old_name_spells_the_language_out() -> None:
    assert data_of("verbose_json", is_whisper=True)["language"] == "chinese"


def test_speakers_are_letters_of_channels_or_names() -> None:
    segments = (
        replace(SEGMENTS[0], channel=0),
        SEGMENTS[1],
        replace(SEGMENTS[2], channel=1),
        replace(SEGMENTS[2], channel=1, speaker="Ann"),
    )
    found = diarized_segments(segments)
    assert [(one["id"], one["speaker"]) for one in found] == [
        ("seg_000", "A"), ("seg_001", "B"), ("seg_002", "Ann"),
    ]  # fmt: skip
    assert {one["type"] for one in found} == {"transcript.text.segment"}


def test_deltas_only_add() -> None:
    told = Told(wanted("json"))
    deltas = []
    for count in range(len(SEGMENTS) + 1):
        deltas += [one["delta"] for one in told.more(list(SEGMENTS[:count]))]
    assert "".join(deltas) == WHOLE.text
    assert len(deltas) == 2
    with pytest.raises(RequestConflict):
        told.more([SEGMENTS[2]])


def test_streamed_speakers_come_once() -> None:
    told = Told(wanted("diarized_json"))
    events = told.more(list(SEGMENTS[:1])) + told.more(list(SEGMENTS))
    kinds = [one["type"].rpartition(".")[2] for one in events]
    assert kinds == ["segment", "delta", "segment", "delta"]
    assert [one["id"] for one in events if "id" in one] == ["seg_000", "seg_001"]


def test_errors_have_all_four_keys_and_openais_names() -> None:
    told = {"code": "access.sign_in_needed", "message": "No key.", "next_step": "Send one."}
    assert shaped(told, 401) == {
        "message": "No key. Send one.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    told["code"] = "quota.spent"
    assert shaped(told, 429)["code"] == "rate_limit_exceeded"
    assert shaped(told, 500)["type"] == "server_error"
    assert shaped(told, 400, "file") == {
        **shaped(told, 400),
        "code": "quota.spent",
        "param": "file",
    }


def test_statuses_of_bad_files() -> None:
    assert status_of(AudioNotMedia("x")) == 415
    assert status_of(AudioDamaged("x")) == 400
    assert status_of(ModelNotInstalled("x")) == 404


def test_only_v1_speaks_openais_way() -> None:
    assert is_here("/v1/models")
    assert is_here("/v1")
    assert not is_here("/v10")
    assert not is_here("/api/v1/jobs")
