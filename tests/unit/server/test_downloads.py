"""Parts of files, kinds and names of what leaves the service."""

import pytest

from lingting.errors import RangeInvalid
from lingting.server.downloads import disposition, media_type, parse_range


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None), ("", None), ("bytes=0-", (0, 100)), ("bytes = 0 - 9", (0, 10)),
        ("bytes=99-", (99, 100)), ("bytes=-1", (99, 100)), ("bytes=-1000", (0, 100)),
        ("bytes=0-0,2-3", None), ("bytes=5-4", None), ("bytes=a-b", None), ("lines=1-2", None),
        ("bytes=0-" + "9" * 18, (0, 100)), ("bytes=0-" + "9" * 19, None),
    ],
)  # fmt: skip
def test_ranges(header: str | None, found: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == found


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=5000-6000", "bytes=-0"])
def test_ranges_outside(header: str) -> None:
    with pytest.raises(RangeInvalid, match="100 bytes"):
        parse_range(header, 100)


def test_an_empty_file_has_no_parts() -> None:
    assert parse_range(None, 0) is None
    with pytest.raises(RangeInvalid):
        parse_range("bytes=0-", 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp3", "audio/mpeg"), ("a.MP4", "video/mp4"), ("a.html", "application/octet-stream"),
        ("a.svg", "application/octet-stream"), ("a.mp3.gz", "application/octet-stream"),
        ("", "application/octet-stream"), ("../a\n.ogg", "audio/ogg"),
    ],
)  # fmt: skip
def test_kinds(name: str, kind: str) -> None:
    assert media_type(name) == kind


@pytest.mark.parametrize(
    "name", ['a"b.mp3', "a\r\nb.mp3", "../../x.mp3", "讲座.mp3", "\x00", "%41"]
)
def test_names_for_a_header(name: str) -> None:
    found = disposition(name, suffix=".srt")
    assert found.isascii()
    assert found.isprintable()
    assert found.startswith('attachment; filename="')
    assert found.count('"') == 2
    assert found.endswith(".srt")
    assert "/" not in found
