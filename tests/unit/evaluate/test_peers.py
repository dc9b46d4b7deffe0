import sys
from pathlib import Path

import pytest

from lingting.errors import ExtraMissing, OptionInvalid
from lingting.evaluate.peers import FasterWhisper


def test_without_the_extra_its_name_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(ExtraMissing, match=r"lingting\[bench\]"):
        FasterWhisper(tmp_path, "batched")


def test_other_modes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="sequential, batched"):
        FasterWhisper(tmp_path, "fast")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the peer imports
def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="no CTranslate2 Whisper") as caught:
        FasterWhisper(tmp_path, "batched")
    assert str(tmp_path) not in str(caught.value)
