"""OpenAI's own client against an engine host over TCP, and forms as other programs write them."""

from __future__ import annotations

import json
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import openai
import pytest
from small_host import Gated, Hosted, hosting

from lingting.engines.base import Clip, Hypothesis
from lingting.engines.remote.wire import wav_bytes
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import AudioEmpty
from lingting.host import HostOptions
from lingting.transcript import Word

KEY = "sk-local"
TONE = (np.sin(np.arange(16_000) / 5) * 0.5).astype(np.float32)
WAV = wav_bytes(TONE)


class Heard:
    """What reached the engine."""

    def __init__(self) -> None:
        self.clips: list[Clip] = []
        self.engine = ScriptedEngine(self._hear)

    def _hear(self, clip: Clip) -> Hypothesis:
        self.clips.append(clip)
        words = (Word("Hello", 0.1, 0.4, 0.9), Word("world", 0.4, 0.8, 0.8))
        return Hypothesis(
            "Hello world",
            clip.options.language or "en",
            words=words if clip.options.words else (),
            confidence=0.5,
            no_speech=0.25,
        )


@contextmanager
def sdk(hosted: Hosted, **given: Any) -> Iterator[openai.OpenAI]:
    options = {"api_key": KEY, "base_url": f"{hosted.address}/v1", "max_retries": 0, **given}
    with openai.OpenAI(**options) as client:
        yield client


@contextmanager
def served(engine: Any) -> Iterator[Hosted]:
    with hosting(engine, HostOptions(key=KEY), place="127.0.0.1:0", models=("tiny",)) as hosted:
        yield hosted


def test_openais_client_transcribes() -> None:
    heard = Heard()
    with served(heard.engine) as hosted, sdk(hosted) as client:
        found = client.audio.transcriptions.create(model="whisper-1", file=("a.wav", WAV))
        assert found.text == "Hello world"
        text = client.audio.transcriptions.create(
            model="tiny", file=("a.wav", WAV), response_format="text"
        )
        assert str(text) == "Hello world\n"
    np.testing.assert_allclose(heard.clips[0].samples, TONE, atol=1e-4)


def test_openais_client_reads_the_verbose_form() -> None:
    heard = Heard()
    with served(heard.engine) as hosted, sdk(hosted) as client:
        found = client.audio.transcriptions.create(
            model="whisper-1",
            file=("a.wav", WAV),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            language="en",
            prompt="a talk",
            temperature=0.2,
            extra_body={"hotwords": "聆听, vLLM", "itn": "false", "speech_s": 0.5, "lane": "live"},
        )
    assert (found.text, found.language, found.duration) == ("Hello world", "english", 1.0)
    assert found.words is not None
    assert [(w.word, w.start, w.end) for w in found.words] == [
        ("Hello", 0.1, 0.4),
        ("world", 0.4, 0.8),
    ]
    assert found.segments is not None
    (segment,) = found.segments
    assert segment.avg_logprob == pytest.approx(np.log(0.5))
    assert segment.no_speech_prob == 0.25
    assert found.model_extra is not None
    assert found.model_extra["lingting"]["confidence"] == 0.5
    (clip,) = heard.clips
    options = clip.options
    assert (options.language, options.words, options.itn) == ("en", True, False)
    assert (options.hotwords, options.prompt) == (("聆听", "vLLM"), "a talk")
    assert (options.temperature, clip.speech_s) == (0.2, 0.5)


def test_arrays_in_every_spelling() -> None:
    heard = Heard()
    with served(heard.engine) as hosted:
        for fields in (
            [("timestamp_granularities[]", "word"), ("keywords[]", "聆听"), ("keywords[]", "b")],
            [("timestamp_granularities", "word"), ("keywords", "聆听,b")],
            [("timestamp_granularities[]", '["word"]'), ("keywords", '["聆听", "b"]')],
        ):
            answer = posted(hosted, [("response_format", "verbose_json"), *fields])
            assert answer["words"][0]["word"] == "Hello"
            assert "segments" not in answer  # only words were asked for
    assert [one.options.hotwords for one in heard.clips] == [("聆听", "b")] * 3


def test_unknown_fields_are_passed_over_and_one_language_of_a_list_is_used() -> None:
    heard = Heard()
    with served(heard.engine) as hosted:
        posted(hosted, [("include[]", "logprobs"), ("future", "1"), ("languages[]", "zh")])
        posted(hosted, [("languages[]", "zh"), ("languages[]", "en")])
    assert [one.options.language for one in heard.clips] == ["zh", None]


@pytest.mark.parametrize(
    ("fields", "status", "names"),
    [
        ([("response_format", "srt")], 400, "response_format"),
        ([("temperature", "hot")], 400, "temperature"),
        ([("temperature", "2")], 400, "temperature"),
        ([("beam_size", "2.5")], 400, "beam_size"),
        ([("language", "Klingon")], 400, "language"),
        ([("timestamp_granularities[]", "letter")], 400, "timestamp_granularities"),
        ([("itn", "maybe")], 400, "itn"),
        ([("lane", "vip")], 400, "lane"),
        ([("model", "nothing")], 404, "tiny"),
    ],
)
def test_values_that_cannot_be_honoured(
    fields: list[tuple[str, str]], status: int, names: str
) -> None:
    with served(Heard().engine) as hosted:
        found, _, page = hosted.ask("POST", PATH, *multipart(fields))
    assert found == status
    assert names in json.loads(page)["error"]["message"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        (b"--x--\r\n", "multipart/form-data; boundary=x"),
        (b"{}", "application/json"),
    ],
)
def test_broken_forms(body: bytes, kind: str) -> None:
    with served(Heard().engine) as hosted:
        status, _, page = hosted.ask("POST", PATH, body, {**AUTH, "Content-Type": kind})
        assert hosted.ask("GET", "/healthz")[0] == 200
    assert status == 400
    assert json.loads(page)["error"]["type"] == "invalid_request_error"


def test_errors_are_those_openais_client_knows() -> None:
    def fail(_: Clip) -> Hypothesis:
        raise AudioEmpty("A clip has 3 samples.")

    with served(ScriptedEngine(fail)) as hosted, sdk(hosted) as client:
        create = client.audio.transcriptions.create
        with pytest.raises(openai.UnprocessableEntityError) as unread:
            create(model="tiny", file=("a.wav", WAV))
        assert unread.value.code == "audio.empty"
        with pytest.raises(openai.UnprocessableEntityError):
            create(model="tiny", file=("a.mp3", b"ID3" + bytes(99)))
        with pytest.raises(openai.NotFoundError) as unknown:
            create(model="nothing", file=("a.wav", WAV))
        assert unknown.value.code == "model_not_found"
        with sdk(hosted, api_key="wrong") as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        assert [one.id for one in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").owned_by == "lingting"


def test_openais_client_comes_again_when_the_queue_is_full() -> None:
    gated = Gated(lambda _: Hypothesis("hello"))
    options = HostOptions(key=KEY, queue_s=1.5)
    with hosting(gated, options, place="127.0.0.1:0") as hosted, sdk(hosted) as client:
        found: list[str] = []

        def create(retries: int) -> None:
            again = client.with_options(max_retries=retries)
            answer = again.audio.transcriptions.create(model="tiny", file=("a.wav", WAV))
            found.append(answer.text)

        threads = [threading.Thread(target=create, args=(0,)) for _ in range(2)]
        threads[0].start()
        gated.wait_begun()
        threads[1].start()
        while hosted.host.models["tiny"].waiting_clips < 1:
            pass
        with pytest.raises(openai.RateLimitError) as full:
            create(0)
        assert int(full.value.response.headers["retry-after"]) >= 1
        threads.append(threading.Thread(target=create, args=(2,)))
        threads[2].start()
        gated.open()
        for thread in threads:
            thread.join(30)
    assert found == ["hello"] * 3


def test_a_form_is_freed_while_its_clip_waits() -> None:
    """A WAV may be twenty times as large as the clip that is made of it."""
    gated = Gated(lambda _: Hypothesis("hello"))
    extra = b"junk" + (30_000_000).to_bytes(4, "little") + bytes(30_000_000)
    with served(gated) as hosted:
        tracemalloc.start()
        connection = hosted.connection()
        connection.request("POST", PATH, *multipart([], WAV + extra))
        gated.wait_begun()
        end_s = time.monotonic() + 10
        while (held_bytes := tracemalloc.get_traced_memory()[0]) > 10_000_000:
            assert time.monotonic() < end_s, held_bytes
            time.sleep(0.01)
        tracemalloc.stop()
        gated.open()
        assert connection.getresponse().status == 200
        connection.close()


def test_brackets_that_are_no_list_are_words() -> None:
    heard = Heard()
    brackets = "[" * 30_000
    with served(heard.engine) as hosted:
        posted(hosted, [("hotwords", brackets)])
    assert heard.clips[0].options.hotwords == (brackets,)


PATH = "/v1/audio/transcriptions"
AUTH = {"Authorization": f"Bearer {KEY}"}


def multipart(fields: list[tuple[str, str]], wav: bytes = WAV) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = b"".join([*parts, file, wav, b"\r\n--x--\r\n"])
    return body, {**AUTH, "Content-Type": "multipart/form-data; boundary=x"}


def posted(hosted: Hosted, fields: list[tuple[str, str]]) -> Any:
    status, _, page = hosted.ask("POST", PATH, *multipart(fields))
    assert status == 200, page
    return json.loads(page)
