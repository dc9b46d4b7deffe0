"""Files as attacks: backups, watched folders, exports. See docs/security.md."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lingting.errors import BackupInvalid
from lingting.jobs import Desk, JobOptions
from lingting.jobs.folders import FolderWatch
from lingting.store import open_store, restore
from lingting.store.backup import back_up
from lingting.text.writers import FORMATS, write
from lingting.transcript import Segment, Transcript
from tests.integration.store_parts import plain_transcript

# Backups ------------------------------------------------------------------------------------------


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good one, and a data folder that is empty."""
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "old"))
    with open_store() as store:
        store.keep(io.BytesIO(b"sound"), plain_transcript(2), name="a.wav")
        back_up(store, tmp_path / "good.tar")
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "new"))
    (tmp_path / "new").mkdir()
    return tmp_path / "good.tar"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def packed(path: Path, content: dict[str, bytes], **changed: Any) -> Path:
    """A tar with these members, whose manifest is true but for what is changed."""
    target = path.with_name("bad.tar")
    with tarfile.open(target, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in changed.get(name, {}).items():
                setattr(info, key, value)
            if not info.isreg():
                info.size = 0
            tar.addfile(info, io.BytesIO(data if info.isreg() else b""))
    return target


def is_untouched(folder: Path) -> bool:
    return not list(folder.iterdir())


_EVIL: dict[str, tuple[str, dict[str, Any]]] = {
    "outside": ("../../outside", {}),
    "absolute": ("/etc/cron.d/evil", {}),
    "in the blobs": ("blobs/../../evil", {}),
    "link": ("blobs/" + "a" * 64, {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
    "hard link": ("blobs/" + "a" * 64, {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
    "device": ("blobs/" + "a" * 64, {"type": tarfile.CHRTYPE}),
    "pipe": ("lingting.db", {"type": tarfile.FIFOTYPE}),
    "stranger": ("notes.txt", {}),
}


@pytest.mark.parametrize("kind", _EVIL)
def test_a_member_that_is_none_of_ours(kind: str, backup: Path, tmp_path: Path) -> None:
    name, changed = _EVIL[kind]
    content = {name: b"evil", **members(backup)}
    with pytest.raises(BackupInvalid):
        restore(packed(backup, content, **{name: changed}))
    assert is_untouched(tmp_path / "new")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "evil").exists()


def test_a_sparse_member_fills_no_disk(backup: Path, tmp_path: Path) -> None:
    """512 bytes that say they are 64 GiB."""
    headers = {
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1",
        "GNU.sparse.size": str(64 << 30),
    }  # fmt: skip
    with tarfile.open(tmp_path / "bad.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("lingting.db")
        info.size, info.pax_headers = 1, headers
        tar.addfile(info, io.BytesIO(b"x"))
    begun_s = time.monotonic()
    with pytest.raises(BackupInvalid):
        restore(tmp_path / "bad.tar")
    assert time.monotonic() - begun_s < 30.0
    assert is_untouched(tmp_path / "new")


@pytest.mark.parametrize(
    "manifest",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"null",
        b'{"format": 1}',
        b"\xff\xfe",
        json.dumps(
            {
                "format": "lingting.backup/1", "lost_blobs": [],
                "files": [{"path": ["x"], "size_bytes": 1, "sha256": "x"}],
            }
        ).encode(),
    ],
    ids=["deep lists", "deep objects", "null", "lacking", "no text", "no name"],
)  # fmt: skip
def test_a_manifest_that_is_none(manifest: bytes, backup: Path, tmp_path: Path) -> None:
    content = members(backup)
    name = next(one for one in content if one.endswith(".json"))
    if b'"path": ["x"]' in manifest:
        told = json.loads(manifest)
        manifest = json.dumps({**told, "format": json.loads(content[name])["format"]}).encode()
    with pytest.raises(BackupInvalid):
        restore(packed(backup, {**content, name: manifest}))
    assert is_untouched(tmp_path / "new")


@pytest.mark.parametrize(
    "statement",
    [
        "create trigger evil after insert on recordings begin delete from audit; end",
        "create view evil as select 1",
    ],
)
def test_a_database_that_would_act_by_itself(statement: str, backup: Path, tmp_path: Path) -> None:
    """True in every digest, so that only what is in the database can give it away."""
    import hashlib

    content = members(backup)
    database = next(one for one in content if one.endswith(".db"))
    (tmp_path / "evil.db").write_bytes(content[database])
    with sqlite3.connect(tmp_path / "evil.db") as connection:
        connection.execute(statement)
    connection.close()
    data = (tmp_path / "evil.db").read_bytes()
    name = next(one for one in content if one.endswith(".json"))
    manifest = json.loads(content[name])
    for row in manifest["files"]:
        if row["path"] == database:
            row |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    content |= {database: data, name: json.dumps(manifest).encode()}
    with pytest.raises(BackupInvalid, match="none of ours"):
        restore(packed(backup, content))
    assert is_untouched(tmp_path / "new")


# Watched folders ----------------------------------------------------------------------------------


def test_links_in_a_watched_folder_lead_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a link to a file, nor to a folder, nor a pipe, nor what changes into a link."""
    monkeypatch.setenv("LINGTING_DATA_DIR", str(tmp_path / "data"))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "hers.mp3").write_bytes(b"secret")
    folder = tmp_path / "watched"
    folder.mkdir()
    (folder / "link.mp3").symlink_to(secret / "hers.mp3")
    (folder / "folder").symlink_to(secret, target_is_directory=True)
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe.mp3")
    (folder / "mine.mp3").write_bytes(b"mine")
    with open_store() as store:
        watch = FolderWatch(Desk(store), folder, JobOptions(), settle_s=0.0)
        names = [job.name for _ in range(3) for job in watch.scan()]
        assert names == ["mine.mp3"]


# Exports ------------------------------------------------------------------------------------------

HOSTILE = (
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1+1", "\r=1+1", "＝1+1",
    "<script>alert(1)</script>", "]]><x>&evil;", "\x00\x08\ufffe", "-->", "\n\n00:00:00,000",
    '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>&e;', "[a](javascript:alert(1))",
    "a\r\nNOTE x\r\n\r\nSTYLE", "\u202egnp.exe",
)  # fmt: skip


def exported(format: str) -> bytes:
    segments = tuple(
        Segment(float(at), at + 1.0, text, text, language="en", speaker=text)
        for at, text in enumerate(HOSTILE)
    )
    made = Transcript(segments, float(len(HOSTILE)), "en")
    return write(made, format, words=True, title=HOSTILE[0] + HOSTILE[7] + HOSTILE[8])


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_every_writer_takes_hostile_texts(format: str) -> None:
    assert exported(format)


def test_no_cell_of_a_table_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(exported("csv").decode("utf-8-sig"))))
    assert len(rows) == len(HOSTILE) + 1, "no text makes a row of its own"
    starts = {cell[:1] for row in rows[1:] for cell in (row[2], row[4], row[5])}
    assert starts.isdisjoint("=+-@\t\r＝＋－＠")


def test_a_document_holds_texts_and_no_markup_of_theirs() -> None:
    with zipfile.ZipFile(io.BytesIO(exported("docx"))) as archive:
        assert all(not name.startswith("/") and ".." not in name for name in archive.namelist())
        for name in archive.namelist():
            if name.endswith((".xml", ".rels")):
                data = archive.read(name)
                assert b"<!ENTITY" not in data.split(b"<w:body>")[0]
                ElementTree.fromstring(data)  # noqa: S314 - our own, and the test of it
        body = ElementTree.fromstring(archive.read("word/document.xml"))  # noqa: S314
        texts = "".join(one.text or "" for one in body.iter() if one.tag.endswith("}t"))
        relations = archive.read("word/_rels/document.xml.rels")
    assert "<script>alert(1)</script>" in texts
    assert "&evil;" in texts
    assert b'TargetMode="External"' not in relations


def test_captions_cannot_be_broken_out_of() -> None:
    srt, vtt = exported("srt").decode(), exported("vtt").decode()
    for text in (srt, vtt):
        lines = text.splitlines()
        times = [at for at, line in enumerate(lines) if "-->" in line]
        assert all(not at or not lines[at - 1] or lines[at - 1].isdigit() for at in times)
    assert "<script" not in vtt
    assert not [one for one in vtt.split("\n\n")[1:] if one.startswith(("NOTE", "STYLE", "REGION"))]


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize("text", ["a" * 20_000, "<" * 20_000, "-->" * 6_000, "。" * 20_000])
def test_no_writer_takes_long_for_one_long_text(format: str, text: str) -> None:
    """In step with the length: a quadratic one would need minutes."""
    made = Transcript((Segment(0.0, 9.0, text, text, language="zh"),), 9.0, "zh")
    begun_s = time.monotonic()
    write(made, format)
    assert time.monotonic() - begun_s < 60.0


# Patterns -----------------------------------------------------------------------------------------


def _parsers() -> dict[str, Callable[[str], object]]:
    from lingting.search.query import parse_query
    from lingting.server.downloads import disposition, parse_range
    from lingting.text.itn import normalize

    return {
        "query": lambda text: parse_query(text[:200]),
        "range": lambda text: parse_range("bytes=" + text, 10),
        "disposition": lambda text: disposition(text[:1_000]),
        "itn zh": lambda text: normalize(text[:2_000], "zh"),
        "itn en": lambda text: normalize(text[:2_000], "en"),
        "itn ja": lambda text: normalize(text[:2_000], "ja"),
    }


@pytest.mark.parametrize("name", sorted(_parsers()))
def test_no_pattern_runs_away(name: str) -> None:
    """Texts on which a pattern that backtracks would take for ever."""
    parse = _parsers()[name]
    for piece in (
        "1", "a", " ", ".", '"', "'", "\\", "-", "一", "一点", "百", "负", "年", "one ", "point ",
        "twenty-", "第", "百分之", "\t", "0-", "../", "\u3000", '""', "a-",
    ):  # fmt: skip
        text = piece * (20_000 // len(piece)) + "!"
        begun_s = time.monotonic()
        try:
            parse(text)
        except Exception as exc:
            assert type(exc).__module__ == "lingting.errors", exc  # noqa: PT017
        assert time.monotonic() - begun_s < 20.0, piece
