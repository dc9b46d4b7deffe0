"""Many transcripts at once: a table of a batch, and a ZIP of files with such a table inside.

Both are written to a file without a name, one transcript after another, before the first byte is
sent: so an error is still an error, and memory does not grow with the batch.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from itertools import chain, count
from pathlib import Path
from typing import IO

from lingting.errors import (
    OptionInvalid,
    RecordingNotFound,
    RevisionNotFound,
    StoreUnreachable,
)
from lingting.jobs import Job
from lingting.server.principal import Principal
from lingting.server.readings import note_given
from lingting.server.service import Service
from lingting.server.visible import recording_of
from lingting.store import Recording
from lingting.text.writers import FORMATS, write
from lingting.text.writers.data import write_table
from lingting.text.writers.names import file_name
from lingting.transcript import Transcript

MOST_RECORDINGS = 10_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Line:
    """What a table says of one recording."""

    recording_id: str
    name: str
    state: str
    """Of its job; ``done`` for a recording that was named and has a transcript."""
    duration_s: float | None = None
    language: str | None = None
    error: str | None = None
    """Code of what it failed with."""
    text: str | None = None


COLUMNS = tuple(one.name for one in fields(Line))
Found = tuple[Line, Transcript | None]


def of_batch(service: Service, who: Principal, batch_id: str) -> Iterator[Found]:
    """Each recording of a batch, the first submitted first, noted as exported when it has a text.

    Others may have put theirs into it: what ``who`` does not see is left out.
    Raises OptionInvalid for a batch of more than can be handed out at once.
    """
    jobs: list[Job] = []
    while len(jobs) % _PAGE == 0:
        after = jobs[-1].id if jobs else None
        page = service.desk.jobs(sight=who.sees, batch_id=batch_id, limit=_PAGE, after=after)
        if not page:
            break
        jobs += page
        _check_count(len(jobs))
    for job in reversed(jobs):
        transcript = _transcript(service, who, job.recording_id) if job.state == "done" else None
        error = None if job.error is None else job.error.code
        yield _noted(
            service, who, Line(job.recording_id, job.name, job.state, error=error), transcript
        )


def of_recordings(service: Service, who: Principal, ids: Sequence[str]) -> Iterator[Found]:
    """The same of recordings by their ids. Raises RecordingNotFound before the first is read."""
    _check_count(len(ids))
    found: list[Recording] = [recording_of(service, who, id) for id in dict.fromkeys(ids)]
    for one in found:
        transcript = _transcript(service, who, one.id)
        state = "done" if transcript is not None else "no transcript"
        yield _noted(service, who, Line(one.id, one.name, state), transcript)


def write_csv(found: Iterable[Found], folder: Path) -> IO[bytes]:
    with _file(folder) as file:
        write_table(file, COLUMNS, (tuple(asdict(line).values()) for line, _ in found))
    return file


def write_json(found: Iterable[Found], folder: Path) -> IO[bytes]:
    """An array with an object for each recording."""
    with _file(folder) as file:
        before = "[\n"
        for line, _ in found:
            file.write(f"{before}{json.dumps(asdict(line), ensure_ascii=False)}".encode())
            before = ",\n"
        file.write(b"[]\n" if before == "[\n" else b"\n]\n")
    return file


def write_zip(
    found: Iterable[Found], folder: Path, formats: Sequence[str], *, words: bool
) -> IO[bytes]:
    """A file in each format for each transcript, and ``index.csv`` that says what is there."""
    lines, taken = [], {"index"}
    with _file(folder) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for line, transcript in found:
            lines.append(tuple(asdict(line).values()))
            if transcript is None:
                continue
            stem = _unused(file_name(line.name)[0], line.recording_id, taken)
            taken.add(stem.casefold())
            for name in formats:
                data = write(transcript, name, words=words, title=stem)
                archive.writestr(stem + FORMATS[name].suffix, data)
        index = io.BytesIO()
        write_table(index, COLUMNS, lines)
        archive.writestr("index.csv", index.getvalue())
    return file


def _unused(stem: str, recording_id: str, taken: Set[str]) -> str:
    """For names that are alike, and recordings that are in a batch more than once."""
    told = f"{stem}.{recording_id}"
    numbered = (f"{told}.{number}" for number in count(2))
    return next(one for one in chain((stem, told), numbered) if one.casefold() not in taken)


def _transcript(service: Service, who: Principal, recording_id: str) -> Transcript | None:
    """As people see it now; None while there is none, for one that was purged, or is not theirs."""
    with suppress(RecordingNotFound, RevisionNotFound):
        return service.store.transcript(recording_of(service, who, recording_id).id)
    return None


def _noted(service: Service, who: Principal, line: Line, transcript: Transcript | None) -> Found:
    if transcript is None:
        return line, None
    note_given(service, who, "transcript.exported", line.recording_id)
    told = Line(
        line.recording_id, line.name, line.state, transcript.duration_s, transcript.language,
        line.error, transcript.text,
    )  # fmt: skip
    return told, transcript


def _check_count(count: int) -> None:
    if count > MOST_RECORDINGS:
        raise OptionInvalid(f"{MOST_RECORDINGS} recordings are the most at once.", "Ask for less.")


@contextmanager
def _file(folder: Path) -> Iterator[IO[bytes]]:
    """Without a name in ``folder``, left open at its beginning; closed when something goes wrong.

    Raises StoreUnreachable for a disk that is full.
    """
    file = None
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it outlives this
        yield file
        file.seek(0)
    except BaseException as exc:
        if file is not None:
            with suppress(OSError):  # what could not be written before cannot be now
                file.close()
        if isinstance(exc, OSError):
            raise StoreUnreachable(
                f"The file cannot be written: {exc.strerror or 'unknown reason'}.",
                "Free some space where LINGTING_DATA_DIR is.",
            ) from exc
        raise
