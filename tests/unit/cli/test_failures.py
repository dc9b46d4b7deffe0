"""Exceptions become a sentence and an exit code."""

from __future__ import annotations

import errno
import json

import pytest

from lingting.cli.failures import exit_code_of
from lingting.cli.output import Output
from lingting.cli.stopping import Stopped
from lingting.errors import AudioEmpty, EngineFailed, ModelLocked, OptionInvalid

SPOKEN = "what was said in confidence"


def code_of(error: BaseException, *, verbose: bool = False) -> int:
    def work() -> int:
        raise error

    return exit_code_of(Output(verbose=verbose), work)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OptionInvalid("Wrong."), 2, "option.invalid"),
        (AudioEmpty("Empty."), 2, "audio.empty"),
        (ModelLocked("Locked."), 1, "model.locked"),
        (EngineFailed("Failed."), 1, "engine.failed"),
        (MemoryError(), 1, "not enough memory"),
        (ModuleNotFoundError("No module", name="av.audio"), 2, "pip install av"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "Stopped"),
        (Stopped(15), 143, "Stopped"),
    ],
)
def test_the_table(
    error: BaseException, code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert code_of(error) == code
    out, err = capfd.readouterr()
    assert said in err
    assert not out
    assert "Traceback" not in err


def test_the_unforeseen_is_an_incident_without_content(capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(ZeroDivisionError(SPOKEN)) == 1
    err = capfd.readouterr().err
    logged, sentence = err.splitlines()
    event = json.loads(logged)
    assert event["error"] == "ZeroDivisionError"
    assert event["at"][-1].startswith("test_failures.py:")
    assert event["incident"] in sentence
    assert "fault.unknown" in sentence
    assert SPOKEN not in err


def test_verbose_shows_the_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    assert code_of(ZeroDivisionError(SPOKEN), verbose=True) == 1
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert SPOKEN in err


def test_what_works_has_its_own_code() -> None:
    assert exit_code_of(Output(), lambda: 3) == 3
