"""What is installed: status, receipts, verification, resolution."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tiny_models import CONTENTS, HUGGINGFACE, digest, make_library, make_model

from lingting.errors import ModelNotInstalled, ModelUnknown, WeightsInvalid
from lingting.models.install import import_folder
from lingting.models.library import Library, Status
from lingting.models.progress import Progress
from lingting.models.receipt import RECEIPT_NAME, read_receipt


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    for path, data in CONTENTS.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return make_library(tmp_path, make_model([HUGGINGFACE]))


def test_a_model_that_is_not_here_names_the_command(library: Library) -> None:
    assert library.status("tiny") is Status.MISSING
    with pytest.raises(ModelNotInstalled) as caught:
        library.path("tiny")
    assert caught.value.next_step == "Run `lingting models pull tiny`."


def test_an_imported_model_is_installed_and_vouched_for(library: Library, origin: Path) -> None:
    home = import_folder(library, "tiny", origin)
    assert library.status("tiny") is Status.INSTALLED
    assert library.path("tiny") == home == library.folder / "tiny"
    assert {p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()} == {
        *CONTENTS,
        RECEIPT_NAME,
    }
    assert [(r.state, r.pin) for r in library.verify("tiny")] == [("ok", "catalogue")] * 3
    resolved = library.resolve("tiny")
    assert (resolved.path, resolved.id) == (home, "tiny")
    assert resolved.sha256 == digest(CONTENTS["model.bin"])


def test_a_touched_file_is_hashed_again_and_accepted(library: Library, origin: Path) -> None:
    home = import_folder(library, "tiny", origin)
    os.utime(home / "config.json", ns=(1, 1))
    assert library.status("tiny") is Status.CHANGED
    assert library.path("tiny") == home
    assert library.status("tiny") is Status.INSTALLED  # the receipt has the new time


def test_a_changed_file_is_never_handed_out(library: Library, origin: Path) -> None:
    home = import_folder(library, "tiny", origin)
    data = bytearray(CONTENTS["model.bin"])
    data[-1] ^= 1  # the same size
    (home / "model.bin").write_bytes(data)
    for _ in range(2):  # and refusing it does not make it acceptable
        with pytest.raises(WeightsInvalid, match=r"model\.bin of the model tiny") as caught:
            library.path("tiny")
        assert "--force" in caught.value.next_step
    states = {report.path: report.state for report in library.verify("tiny")}
    assert states == {"model.bin": "changed", "config.json": "ok", "sub/vocabulary.txt": "ok"}


def test_a_change_that_keeps_size_and_time_is_found_by_verify(
    library: Library, origin: Path
) -> None:
    home = import_folder(library, "tiny", origin)
    found = (home / "config.json").stat()
    (home / "config.json").write_bytes(bytes(len(CONTENTS["config.json"])))
    os.utime(home / "config.json", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert library.status("tiny") is Status.INSTALLED  # what a stat cannot see
    assert "changed" in [report.state for report in library.verify("tiny")]


def test_a_missing_file_or_receipt_makes_it_partial(library: Library, origin: Path) -> None:
    home = import_folder(library, "tiny", origin)
    (home / "config.json").unlink()
    assert library.status("tiny") is Status.PARTIAL
    with pytest.raises(ModelNotInstalled, match="only partly"):
        library.path("tiny")
    assert "missing" in [report.state for report in library.verify("tiny")]
    import_folder(library, "tiny", origin)
    (home / RECEIPT_NAME).write_text("{]")
    assert library.status("tiny") is Status.PARTIAL


def test_a_receipt_for_other_bytes_than_the_catalogue_lists_counts_for_nothing(
    library: Library, origin: Path, tmp_path: Path
) -> None:
    import_folder(library, "tiny", origin)
    newer = make_library(tmp_path, make_model([HUGGINGFACE], CONTENTS | {"config.json": b"new"}))
    assert newer.status("tiny") is Status.CHANGED
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        newer.path("tiny")


def test_a_file_without_a_listed_digest_is_pinned_at_its_first_arrival(
    tmp_path: Path, origin: Path
) -> None:
    library = make_library(tmp_path, make_model([HUGGINGFACE], unpinned=["config.json"]))
    home = import_folder(library, "tiny", origin)
    pins = {report.path: report.pin for report in library.verify("tiny")}
    assert pins["config.json"] == "local"
    assert pins["model.bin"] == "catalogue"
    receipt = read_receipt(home)
    assert receipt is not None
    assert receipt.files["config.json"].sha256 == digest(CONTENTS["config.json"])
    (home / "config.json").write_bytes(b"{}")
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        library.path("tiny")
    # Another one from outside is refused too: the pin holds until the model folder is deleted.
    (origin / "config.json").write_bytes(b"{}")
    with pytest.raises(WeightsInvalid, match=r"config\.json"):
        import_folder(library, "tiny", origin)


def test_the_receipt_is_plain_json(library: Library, origin: Path) -> None:
    home = import_folder(library, "tiny", origin)
    document = json.loads((home / RECEIPT_NAME).read_text())
    assert (document["format"], document["model"], document["source"]) == (1, "tiny", "folder")


def test_any_folder_with_a_model_resolves(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(WeightsInvalid, match=r"model\.bin") as caught:
        library.resolve(folder)
    assert "mine" not in str(caught.value)
    (folder / "model.pt").write_bytes(b"weights")
    resolved = library.resolve(str(folder))
    assert (resolved.path, resolved.id, resolved.sha256) == (folder, "mine", digest(b"weights"))
    (folder / "model.pt").write_bytes(b"WEIGHTS!")
    assert library.resolve(folder).sha256 == digest(b"WEIGHTS!")
    with pytest.raises(ModelUnknown):
        library.resolve("tinny")
    with pytest.raises(ModelNotInstalled):
        library.resolve("tiny")


def test_a_flat_folder_is_imported_into_the_models_layout(library: Library, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path, data in CONTENTS.items():
        (flat / Path(path).name).write_bytes(data)
    home = import_folder(library, "tiny", flat)
    assert (home / "sub" / "vocabulary.txt").read_bytes() == CONTENTS["sub/vocabulary.txt"]


def test_a_disk_that_fails_is_not_called_the_models_own(tmp_path: Path) -> None:
    """A damaged stick: the file is there and reading it fails."""
    broken = Path("/proc/self/mem")
    if not broken.is_file():
        pytest.skip("needs /proc")
    library = make_library(tmp_path, make_model([], unpinned=["model.bin"]))
    origin = tmp_path / "stick"
    (origin / "sub").mkdir(parents=True)
    for path, data in CONTENTS.items():
        (origin / path).write_bytes(data)
    (origin / "model.bin").unlink()
    (origin / "model.bin").symlink_to(broken)
    with pytest.raises(WeightsInvalid, match=r"model\.bin cannot be read \(Input/output error\)"):
        import_folder(library, "tiny", origin)


@pytest.mark.parametrize("data", [None, bytes(3_000_000)])
def test_a_failed_import_is_not_half_a_model(
    library: Library, origin: Path, data: bytes | None
) -> None:
    (origin / "model.bin").unlink()
    if data is not None:
        (origin / "model.bin").write_bytes(data)  # the size is right, the bytes are not
    with pytest.raises(WeightsInvalid):
        import_folder(library, "tiny", origin)
    assert library.status("tiny") is Status.MISSING
    assert not library.staging_of("tiny").exists()


def test_wrong_sizes_are_found_before_anything_is_copied(library: Library, origin: Path) -> None:
    (origin / "sub" / "vocabulary.txt").write_bytes(b"short")
    seen: list[Progress] = []
    with pytest.raises(WeightsInvalid, match="5 bytes, 40000 are listed") as caught:
        import_folder(library, "tiny", origin, progress=seen.append)
    assert seen == []
    assert "lingting models verify tiny" in caught.value.next_step


@pytest.mark.parametrize(
    ("path", "data", "what"),
    [
        ("model.bin", CONTENTS["model.bin"][:-1], "2999999 bytes, 3000000 are listed"),
        ("model.bin", bytes(3_000_000), "SHA-256"),
        ("config.json", None, "config.json not found"),
    ],
)
def test_a_wrong_folder_is_refused_and_leaves_nothing(
    library: Library, origin: Path, path: str, data: bytes | None, what: str
) -> None:
    (origin / path).unlink()
    if data is not None:
        (origin / path).write_bytes(data)
    with pytest.raises(WeightsInvalid, match=what):
        import_folder(library, "tiny", origin)
    assert not library.home_of("tiny").exists()
    assert library.status("tiny") is not Status.INSTALLED
