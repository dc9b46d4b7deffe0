"""What people say, and what they call their files, stays out of logs and error bodies."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lingting.cli.failures import explained
from lingting.cli.output import Output
from lingting.engines.base import Clip, Hypothesis
from lingting.engines.scripted import ScriptedEngine
from lingting.errors import EngineFailed, LingtingError, WeightsInvalid
from lingting.pipeline import PipelineOptions, Source, Transcriber
from lingting.vad.fsmn import FsmnVad

SAID = "Quincunxes"
NAMED = "vorzimmergespräch-zzyx"
HOTWORD = "Brumbleweft"
PROMPT = "Ostrakinda"
SECRETS = (SAID, NAMED, HOTWORD, PROMPT)
OPTIONS = PipelineOptions(language="en", hotwords=(HOTWORD,), prompt=PROMPT)


def say(_: Clip) -> Hypothesis:
    return Hypothesis(f"the {SAID} of twenty three", "en", confidence=0.9)


def fail(_: Clip) -> Hypothesis:
    raise EngineFailed("The recogniser stopped after 3 steps.")


@pytest.fixture
def recording(samples_folder: Path, tmp_path: Path) -> Path:
    """Real speech under a name that gives something away."""
    path = tmp_path / f"{NAMED}.wav"
    shutil.copyfile(samples_folder / "asr_example.wav", path)
    return path


@pytest.fixture
def transcriber(vad_folder: Path) -> Callable[..., Transcriber]:
    vad = FsmnVad(vad_folder)
    return lambda script=say: Transcriber(ScriptedEngine(script), vad, OPTIONS)


def assert_silent(*texts: str) -> None:
    for text in texts:
        assert [secret for secret in SECRETS if secret.lower() in text.lower()] == []


def assert_nothing_written(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture) -> None:
    written = capfd.readouterr()
    assert_silent(written.out, written.err, caplog.text)
    for record in caplog.records:
        assert_silent(record.getMessage(), str(vars(record)))


@pytest.mark.model
def test_a_transcript_leaves_no_trace(
    recording: Path,
    transcriber: Callable[..., Transcriber],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        transcript = transcriber().transcribe(recording)
    assert f"the {SAID} of 23" in transcript.text  # it was recognised, and is only there
    assert_nothing_written(caplog, capfd)


def damaged(path: Path) -> None:
    path.write_bytes(f"{SAID} is no sound at all. ".encode() * 40)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def removed(path: Path) -> None:
    path.unlink()


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


@pytest.mark.model
@pytest.mark.parametrize("spoil", [damaged, emptied, removed, made_a_folder, cut_short])
def test_an_error_body_names_nothing(
    spoil: Callable[[Path], None],
    recording: Path,
    transcriber: Callable[..., Transcriber],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture,
) -> None:
    spoil(recording)
    with caplog.at_level(logging.DEBUG):
        (outcome,) = transcriber().transcribe_many([Source(recording, key="1")])
    assert outcome.error is not None
    assert_silent(str(outcome.error), str(outcome.error.as_dict()), repr(outcome))
    assert_nothing_written(caplog, capfd)


@pytest.mark.model
def test_a_failing_engine_names_nothing(
    recording: Path,
    transcriber: Callable[..., Transcriber],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        transcript = transcriber(fail).transcribe(recording)
    assert [failure.code for failure in transcript.failures] == ["engine.failed"]
    assert_silent(str(transcript.failures))
    assert_nothing_written(caplog, capfd)


@pytest.mark.parametrize(
    "exception",
    [
        RuntimeError(f"cannot decode {SAID}"),
        ValueError(NAMED, HOTWORD),
        FileNotFoundError(2, "No such file or directory", f"/home/{NAMED}.wav"),
        UnicodeEncodeError("ascii", PROMPT, 0, 1, "ordinal not in range"),
        KeyError(SAID),
    ],
)
def test_a_foreign_exception_is_not_quoted(
    exception: Exception, capfd: pytest.CaptureFixture
) -> None:
    output = Output()
    try:
        raise exception
    except Exception as caught:
        error = explained(caught, output)
    output.error(error)
    assert isinstance(error, LingtingError)
    written = capfd.readouterr()
    assert "error:" in written.err
    assert_silent(written.out, written.err, str(error.as_dict()))


def test_the_check_itself_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_silent(str(WeightsInvalid(f"The file {NAMED} is wrong.")))
