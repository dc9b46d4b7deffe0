"""Where results go, and when they are finished."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lingting.cli.inputs import find_inputs
from lingting.cli.targets import check_folder, is_finished, plan_targets, without_outputs
from lingting.errors import OptionInvalid, OutputUnwritable


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*files: str) -> None:
    for name in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def planned(*given: str, to: str | None = None, suffixes: tuple[str, ...] = (".srt",)) -> list[str]:
    inputs = find_inputs(given)
    rows = plan_targets(inputs, suffixes, Path(to) if to else None)
    return [str(target) for row in rows for target in row]


def test_beside_the_recording(here: Path) -> None:
    make("a/talk.mp3", "b.wav")
    assert planned("a/talk.mp3", "b.wav", suffixes=(".txt", ".srt")) == [
        "a/talk.txt", "a/talk.srt", "b.txt", "b.srt",
    ]  # fmt: skip


def test_the_suffix_stays_where_it_tells_two_recordings_apart(here: Path) -> None:
    make("talk.mp3", "talk.wav")
    assert planned("talk.mp3", "talk.wav") == ["talk.mp3.srt", "talk.wav.srt"]
    # The same when only one of them is given: a later run must not take the one's for the other's.
    assert planned("talk.wav") == ["talk.wav.srt"]
    assert planned("talk.wav", to="out") == ["out/talk.wav.srt"]


def test_a_folder_keeps_its_folders_in_the_output(here: Path) -> None:
    make("lectures/a.wav", "lectures/one/a.wav", "lectures/one/two/b.mp3")
    assert planned("lectures", to="out") == [
        "out/a.srt", "out/one/a.srt", "out/one/two/b.srt",
    ]  # fmt: skip
    assert planned("lectures/*/*.wav", to="out") == ["out/one/a.srt"]


def test_equal_names_from_different_folders_do_not_meet(here: Path) -> None:
    make("x/a.wav", "y/a.wav", "y/b.wav")
    assert planned("x", "y", to="out") == ["out/x/a.wav.srt", "out/y/a.wav.srt", "out/b.srt"]


def test_names_that_differ_in_case_are_one_name_to_some_disks(here: Path) -> None:
    make("Talk.wav", "talk.mp3")
    assert len({target.casefold() for target in planned("Talk.wav", "talk.mp3")}) == 2


def test_no_two_inputs_ever_share_a_target(here: Path) -> None:
    make("a/x.wav", "b/x.wav", "b/x.mp3", "a/b/x.wav", "a/x.mp3", "b/X.flac", "c/a/x.wav")
    found = planned("a", "b", "c", "a/b", "-", to="out", suffixes=(".txt", ".json"))
    assert len({target.casefold() for target in found}) == len(found) == 2 * 8


def test_a_recording_is_never_its_own_output(here: Path) -> None:
    make("voice.json")  # somebody named a recording so
    assert planned("voice.json", suffixes=(".json",)) == ["voice.json.json"]


def test_standard_input_writes_into_this_folder(here: Path) -> None:
    assert planned("-") == ["stdin.srt"]


def test_without_formats_nothing_is_written(here: Path) -> None:
    make("a.wav")
    assert planned("a.wav", suffixes=()) == []


def test_outputs_of_this_run_are_no_inputs(here: Path) -> None:
    make("a.wav", "a.srt", "b.srt")
    inputs = find_inputs(["a.srt", "a.wav", "b.srt"])
    kept = without_outputs(inputs, plan_targets(inputs, [".srt"], None))
    assert [one.name for one, _ in kept] == ["a.wav", "b.srt"]


def test_finished_means_all_there_and_not_older(here: Path) -> None:
    make("a.wav", "a.srt")
    (one,) = find_inputs(["a.wav"])
    srt, txt = Path("a.srt"), Path("a.txt")
    assert is_finished(one, [srt])
    assert not is_finished(one, [srt, txt])
    assert not is_finished(one, [])
    os.utime("a.wav", (2e9, 2e9))  # recorded anew since
    assert not is_finished(one, [srt])
    (stdin,) = find_inputs(["-"])
    assert not is_finished(stdin, [srt])


def test_the_output_folder_is_made_with_its_parents(here: Path) -> None:
    check_folder(Path("new/deep"))
    assert Path("new/deep").is_dir()


def test_a_file_is_no_output_folder(here: Path) -> None:
    make("taken")
    with pytest.raises(OptionInvalid, match="--output"):
        check_folder(Path("taken"))
    with pytest.raises(OutputUnwritable, match="cannot be made"):
        check_folder(Path("taken/below"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_at_once(here: Path) -> None:
    Path("closed").mkdir(mode=0o555)
    with pytest.raises(OutputUnwritable, match="not writable"):
        check_folder(Path("closed"))
