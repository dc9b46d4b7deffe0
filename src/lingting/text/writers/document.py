"""Word document: heading, facts, paragraphs with their times.

The bytes depend on the transcript alone: the archive's time stamps and the document's dates are
fixed. Characters that XML 1.0 refuses are dropped.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from typing import Any

from lingting.text.writers.options import WriteOptions, clock
from lingting.text.writers.reading import facts, label, paragraphs, title
from lingting.transcript import Transcript

_EPOCH = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_EAST_ASIAN_FONT = "Microsoft YaHei"
# XML 1.0, section 2.2: everything outside Char.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_docx(transcript: Transcript, options: WriteOptions) -> bytes:
    """A .docx archive."""
    import docx

    document = docx.Document()
    _set_east_asian_font(document)
    heading = _legal(title(transcript, options.title))
    _set_properties(document, heading)
    document.add_heading(heading, level=1)
    _add_facts(document, transcript)
    for paragraph in paragraphs(transcript):
        added = document.add_paragraph()
        added.add_run(clock(paragraph.start_s)).bold = True
        if paragraph.speaker:
            added.add_run(f"  {_legal(paragraph.speaker)}").bold = True
        added.add_run("\n")
        if paragraph.text:
            added.add_run(_legal(paragraph.text))
        else:
            added.add_run(f"({label(transcript, 'unrecognised')})").italic = True
    buffer = io.BytesIO()
    document.save(buffer)
    return _repacked(buffer.getvalue())


def _add_facts(document: Any, transcript: Transcript) -> None:
    table = document.add_table(rows=0, cols=2, style="Table Grid")
    for name, value in facts(transcript):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = name, _legal(value)
    document.add_paragraph()


def _set_east_asian_font(document: Any) -> None:
    """The template names no font for Chinese; without one each viewer takes its own."""
    from docx.oxml.ns import qn

    fonts = document.styles["Normal"].element.get_or_add_rPr().get_or_add_rFonts()
    fonts.set(qn("w:eastAsia"), _EAST_ASIAN_FONT)


def _set_properties(document: Any, heading: str) -> None:
    properties = document.core_properties
    properties.title = heading[:255]
    properties.author = properties.last_modified_by = "Lingting"
    properties.comments = ""
    properties.created = properties.modified = _EPOCH
    properties.revision = 1


def _repacked(data: bytes) -> bytes:
    """The same archive with fixed time stamps."""
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, _ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            new.writestr(entry, old.read(name))
    return packed.getvalue()


def _legal(text: str) -> str:
    return _NOT_XML.sub("", text)
