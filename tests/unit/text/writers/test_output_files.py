import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lingting.errors import OutputUnwritable
from lingting.text.writers import save


def test_new_file(tmp_path: Path) -> None:
    path = tmp_path / "字幕.srt"
    save(path, b"one")
    assert path.read_bytes() == b"one"
    save(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_kept_and_links_followed(tmp_path: Path) -> None:
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    save(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_umask_holds_for_new_files(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    save(tmp_path / "saved", b"")
    assert (tmp_path / "saved").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="No such file") as caught:
        save(tmp_path / "none" / "secret-name.txt", b"x")
    assert "secret-name" not in str(caught.value)
    with pytest.raises(OutputUnwritable, match="no regular file"):
        save(tmp_path, b"x")
    with pytest.raises(OutputUnwritable, match="bad path"):
        save(tmp_path / "a\0b", b"x")
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable, match="Not a directory"):
        save(tmp_path / "file" / "x", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_device_is_never_replaced() -> None:
    with pytest.raises(OutputUnwritable):
        save(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


def test_failed_rename_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputUnwritable, match="No space left"):
        save(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupt_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of writing: the name never appears, the temporary file goes."""
    script = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from lingting.text.writers.files import save\n"
        "def slow(handle):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(30)\n"
        "os.fsync = slow\n"
        "save(Path(sys.argv[1]), b'x' * 1000)\n"
    )
    target = tmp_path / "out.txt"
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        time.sleep(0.05)
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
    assert list(tmp_path.iterdir()) == []
