"""The functions others call, under the settings of the moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingting import models
from lingting.errors import ModelNotInstalled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINGTING_HOME", str(tmp_path))
    monkeypatch.setenv("LINGTING_OFFLINE", "1")
    return tmp_path


def test_the_settings_decide_where_models_live(home: Path) -> None:
    assert models.models_dir() == home / "models"
    assert models.status("whisper-base") is models.Status.MISSING
    assert {report.state for report in models.verify("whisper-base")} == {"missing"}
    assert not (home / "models").exists()  # looking creates nothing


@pytest.mark.parametrize("bring", [models.ensure, models.pull])
def test_offline_forbids_fetching_and_names_the_way_out(home: Path, bring: object) -> None:
    with pytest.raises(ModelNotInstalled, match="LINGTING_OFFLINE=1 forbids") as caught:
        bring("whisper-base")  # type: ignore[operator]
    assert "lingting models import whisper-base FOLDER" in caught.value.next_step
    assert not (home / "models").exists()


def test_a_missing_model_names_the_command_that_brings_it(home: Path) -> None:
    with pytest.raises(ModelNotInstalled, match="whisper-base is not installed") as caught:
        models.path("whisper-base")
    assert caught.value.next_step == "Run `lingting models pull whisper-base`."
