import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lingting.audio.decode import read_all
from lingting.errors import EngineFailed, ManifestInvalid
from lingting.evaluate.dither import dithered
from lingting.evaluate.manifest import Manifest, Row, read_manifest
from lingting.evaluate.report import HEADER, SCHEMA, Spread, compare, spread, table
from lingting.evaluate.run import Recognised, Subject, evaluate
from lingting.transcript import ModelFacts
from tests.odd_files import pcm16, wav_bytes

ROWS = [
    {"file": "a.wav", "language": "zh-x-sichuan", "text": "今天天气好", "duration_s": 2},
    {"file": "b.wav", "language": "en", "text": "hello world", "duration_s": 3.5, "note": "x"},
    {"file": "c.wav", "language": "en-GB", "text": None, "duration_s": 4},
    {"file": "d.wav", "language": "zxx", "text": ""},
]


def write(folder: Path, lines: Sequence[object]) -> Path:
    for name in "abcd":
        (folder / f"{name}.wav").touch()
    path = folder / "manifest.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_are_read_as_written(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, [*ROWS[:2], "", *ROWS[2:]]))
    first, second, third, fourth = manifest.rows
    assert first == Row("a.wav", tmp_path / "a.wav", "zh-x-sichuan", "今天天气好", 2.0, line=1)
    assert [row.engine_language for row in manifest.rows] == ["zh", "en", "en", None]
    assert (second.is_scored, third.is_scored, fourth.is_scored) == (True, False, False)
    assert (third.is_silent, fourth.is_silent) == (False, True)
    assert fourth.line == 5
    assert fourth.duration_s is None
    assert len(manifest.sha256) == 64
    assert len(read_manifest(tmp_path / "manifest.jsonl", limit=2).rows) == 2


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "3", {"language": "zh"}, {"file": "", "language": "zh"},
        {"file": "gone.wav", "language": "zh"}, {"file": "b.wav"},
        {"file": "b.wav", "language": "klingon"}, {"file": "b.wav", "language": "auto"},
        {"file": "b.wav", "language": 3}, {"file": "b.wav", "language": "zh", "text": 3},
        {"file": "b.wav", "language": "zh", "duration_s": "long"},
        {"file": "b.wav", "language": "zh", "duration_s": -1},
        {"file": "b.wav", "language": "zh", "duration_s": True},
        {"file": "a.wav", "language": "zh"},
    ],
)  # fmt: skip
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: object) -> None:
    with pytest.raises(ManifestInvalid, match="Line 2 of") as caught:
        read_manifest(write(tmp_path, [ROWS[0], line]))
    assert ".wav" not in str(caught.value)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="cannot be read"):
        read_manifest(tmp_path / "none.jsonl")
    with pytest.raises(ManifestInvalid, match="no rows"):
        read_manifest(write(tmp_path, [""]))
    (tmp_path / "manifest.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestInvalid, match="UTF-8"):
        read_manifest(tmp_path / "manifest.jsonl")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(write(tmp_path, ROWS))


def saying(texts: Sequence[str]):
    def recognise(rows: Sequence[Row]) -> Iterator[Recognised]:
        for row, text in zip(rows, texts, strict=False):
            yield Recognised(row.file, text, duration_s=10.0 if row.is_silent else None)

    return recognise


SUBJECT = Subject("mine", ModelFacts("m", "ab" * 32, "int8"), {"beam_size": 5})


def test_report_counts_each_kind_of_row(manifest: Manifest) -> None:
    kept = []
    report = evaluate(
        manifest,
        saying(["今天天汽好", "hello", "anything", "Thanks!"]),
        SUBJECT,
        keep=lambda row, result: kept.append((row.line, result.text)),
    )
    assert kept == [(1, "今天天汽好"), (2, "hello"), (3, "anything"), (4, "Thanks!")]
    by_tag = {result.language: result for result in report.languages}
    assert list(by_tag) == ["en", "zh-x-sichuan"]
    assert by_tag["en"].score.deletions == 1
    assert by_tag["en"].score.rate == 0.5
    assert by_tag["zh-x-sichuan"].score.rate == pytest.approx(1 / 5)
    assert report.total.score.rate == pytest.approx(2 / 7)
    assert report.audio_s == pytest.approx(2 + 3.5 + 4 + 10)
    assert (report.silent_clips, report.silent_with_text) == (1, ("d.wav",))
    assert report.rtfx == pytest.approx(19.5 / report.cost.wall_s)
    assert report.cost.peak_rss_bytes is None or report.cost.peak_rss_bytes > 2**20


def test_report_as_json_has_all_that_is_needed_to_repeat_it(manifest: Manifest) -> None:
    report = evaluate(manifest, saying(["秘密", "secretword", "", ""]), SUBJECT)
    text = report.to_json()
    data = json.loads(text)
    assert data["schema"] == SCHEMA
    assert data["manifest"] == {"sha256": manifest.sha256, "clips": 4}
    assert data["model"]["sha256"] == "ab" * 32
    assert data["options"] == {"beam_size": 5}
    assert data["no_speech"] == {"clips": 1, "with_text": []}
    assert data["total"]["substitutions"] + data["total"]["deletions"] == 7
    assert data["machine"]["cores"] >= 1
    assert data["packages"]["numpy"]
    assert "secretword" not in text
    assert "秘密" not in text


def test_failed_clips_are_all_deleted_and_counted(manifest: Manifest) -> None:
    def recognise(rows: Sequence[Row]) -> list[Recognised]:
        return [Recognised(row.file, "", failure="engine.failed") for row in rows]

    report = evaluate(manifest, recognise, SUBJECT)
    assert report.failures == {"engine.failed": 4}
    assert report.total.score.rate == 1.0
    assert report.total.score.deletions == 7


def test_results_must_come_in_order_and_for_every_row(manifest: Manifest) -> None:
    with pytest.raises(EngineFailed, match="4 clips were given, 3"):
        evaluate(manifest, saying(["", "", ""]), SUBJECT)
    with pytest.raises(EngineFailed, match="Result 1 "):
        evaluate(manifest, lambda rows: [Recognised("b.wav", "")], SUBJECT)
    with pytest.raises(EngineFailed, match="Result 5 "):
        evaluate(
            manifest, lambda rows: [Recognised(row.file, "") for row in (*rows, rows[0])], SUBJECT
        )


def test_tables_have_one_row_per_language_and_the_total(manifest: Manifest) -> None:
    good = evaluate(manifest, saying(["今天天气好", "hello world", "", ""]), SUBJECT)
    bad = evaluate(manifest, saying(["", "", "", "x"]), Subject("other"))
    rows = table(good)
    assert rows[0] == HEADER
    assert [row[0] for row in rows[1:]] == ["en", "zh-x-sichuan", "total"]
    assert {len(row) for row in rows} == {len(HEADER)}
    assert rows[1][1:3] == ("WER", "0.00 %")
    beside = compare([[good], [bad]])
    assert beside[0] == ("language", "mine", "other")
    assert ("total", "0.00 %", "100.00 %") in beside
    assert ("text on non-speech", "0 of 1", "1 of 1") in beside


def test_draws_give_the_mean_and_how_far_it_moves(manifest: Manifest) -> None:
    good = evaluate(manifest, saying(["今天天气好", "hello world", "", ""]), SUBJECT)
    bad = evaluate(manifest, saying(["今天天汽好", "hello", "", "x"]), SUBJECT)
    rows = compare([[good, bad], [good]])
    assert ("en", "25.00 % (0.0 - 50.0)", "0.00 %") in rows
    assert ("text on non-speech", "1 of 2", "0 of 1") in rows
    assert rows[4][0] == "text on non-speech"  # after the total, which comes last of the rates
    assert spread([good, bad])["total"] == Spread(pytest.approx(1 / 7), 0.0, 2 / 7, 2)


def test_noise_of_a_draw_is_one_least_bit_and_always_the_same(tmp_path: Path) -> None:
    said = np.sin(np.arange(16_000, dtype=np.float32) / 10) * 0.5
    (tmp_path / "a.wav").write_bytes(wav_bytes(pcm16(said)))
    (tmp_path / "b.wav").write_bytes(b"nothing of the kind")
    rows = [{"file": name, "language": "en", "text": "x"} for name in ("a.wav", "b.wav")]
    given = read_manifest(write(tmp_path, [json.dumps(row) for row in rows]))
    assert dithered(given, 0, tmp_path) is given
    heard = {}
    for draw in (1, 2):
        folder = tmp_path / str(draw)
        folder.mkdir()
        noisy = dithered(given, draw, folder)
        assert noisy.sha256 == given.sha256
        assert [row.file for row in noisy.rows] == ["a.wav", "b.wav"]
        assert noisy.rows[1].path == given.rows[1].path
        heard[draw], _ = read_all(noisy.rows[0].path)
    clean, _ = read_all(given.rows[0].path)
    off = (heard[1] - clean) * 2**15
    assert set(np.rint(off)) == {-1.0, 0.0, 1.0}
    assert np.abs(off - np.rint(off)).max() < 1e-3
    assert not np.array_equal(heard[1], heard[2])
    again = dithered(given, 1, tmp_path)
    assert np.array_equal(read_all(again.rows[0].path)[0], heard[1])
