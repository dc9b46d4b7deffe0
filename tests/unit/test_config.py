"""Settings: sources, refusals, defaults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from lingting.config import Settings, settings, variables
from lingting.errors import OptionInvalid, OptionUnknown


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def test_the_default_home_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings().home == tmp_path / ".local" / "share" / "lingting"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert settings().home == tmp_path / "data" / "lingting"
    assert settings().models_dir == tmp_path / "data" / "lingting" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # must be ignored, says the specification
    assert settings().home == tmp_path / ".local" / "share" / "lingting"


def test_the_environment_is_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not settings().offline
    monkeypatch.setenv("LINGTING_OFFLINE", "1")
    monkeypatch.setenv("LINGTING_THREADS", "3")
    monkeypatch.setenv("LINGTING_HOME", "~/speech")
    now = settings()
    assert (now.offline, now.threads) == (True, 3)
    assert now.home == Path.home() / "speech"
    monkeypatch.delenv("LINGTING_OFFLINE")
    assert not settings().offline


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGTING_THREADS", "")
    assert settings().threads is None


def test_a_misspelt_variable_is_refused_with_the_right_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINGTING_OFLINE", "1")
    with pytest.raises(OptionUnknown, match="LINGTING_OFLINE is not a setting") as caught:
        settings()
    assert "LINGTING_OFFLINE?" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LINGTING_OFFLINE", "perhaps"),
        ("LINGTING_MAX_DURATION_S", "0"),
        ("LINGTING_MAX_DURATION_S", "nan"),
        ("LINGTING_MAX_DURATION_S", "inf"),
        ("LINGTING_THREADS", "0"),
        ("LINGTING_THREADS", "two"),
        ("LINGTING_LOG_LEVEL", "loud"),
    ],
)
def test_a_bad_value_is_refused_by_name_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(OptionInvalid, match=name) as caught:
        settings()
    assert f" {value} " not in str(caught.value).replace("above 0", "").replace("1 or 0", "")


def test_the_file_is_below_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / ".config" / "lingting" / "lingting.toml"
    file.parent.mkdir(parents=True)
    file.write_text('threads = 2\nlog_level = "info"\n')
    assert (settings().threads, settings().log_level) == (2, "info")
    monkeypatch.setenv("LINGTING_THREADS", "5")
    assert (settings().threads, settings().log_level) == (5, "info")
    assert settings(threads=7).threads == 7


def test_lingting_config_names_another_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "my.toml"
    file.write_text("max_duration_s = 60\n")
    monkeypatch.setenv("LINGTING_CONFIG", str(file))
    assert settings().max_duration_s == 60.0
    monkeypatch.setenv("LINGTING_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(OptionInvalid, match="LINGTING_CONFIG") as caught:
        settings()
    assert "absent" not in str(caught.value)


def test_a_file_in_the_working_directory_is_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lingting.toml").write_text("offline = true\n")
    monkeypatch.chdir(tmp_path)
    assert not settings().offline


@pytest.mark.parametrize(
    ("text", "error"),
    [("thread = 2\n", OptionUnknown), ("threads = -2\n", OptionInvalid), ("= 3", OptionInvalid)],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, error: type[Exception]) -> None:
    file = tmp_path / ".config" / "lingting" / "lingting.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(error):
        settings()


def test_settings_are_frozen() -> None:
    now = settings()
    with pytest.raises(ValidationError):
        now.offline = True  # type: ignore[misc]
    assert isinstance(now, Settings)


def test_importing_lingting_does_not_import_pydantic() -> None:
    code = "import sys, lingting; sys.exit('pydantic' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
