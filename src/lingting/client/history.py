"""What a client asks of recordings: found, read, changed, shared, noted upon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import IO, Any, Literal

from lingting.answers import (
    BulkItem,
    BulkResult,
    NotePage,
    Problem,
    RecordingPage,
    SegmentPage,
)
from lingting.client.connection import Connection, given, id_part, written
from lingting.client.values import found_from, recording_from, value_from
from lingting.store.hits import SearchFilters, SearchPage
from lingting.store.listed import Facet, Facets, FacetValue, HistoryFilters, Order
from lingting.store.records import Note, Receipt, Recording, Share, ShareKind
from lingting.transcript import Transcript, segment_from


class HistoryRequests(Connection):
    """Recordings and what belongs to them."""

    # History -----------------------------------------------------------------------------------

    def recordings(
        self,
        filters: HistoryFilters | None = None,
        *,
        order: Order = "newest",
        limit: int = 50,
        after: str | None = None,
        tag: str | None = None,
        is_deleted: bool = False,
        is_shared: bool = False,
        is_counted: bool = False,
    ) -> RecordingPage:
        """A page of the history; go on with ``after=page.next`` in the same order.

        ``tag`` and ``is_deleted`` are short for those filters. ``is_shared``: only what others
        share. ``is_counted``: ``count`` says how many pass, counted up to 1,000.
        """
        told = {} if filters is None else asdict(filters)
        asked = given({
            **{name: _plain(one) for name, one in told.items()},
            "states": None, "state": list(told.get("states", ())) or None, "is_deleted": None,
            "deleted": is_deleted or told.get("is_deleted") or None,
            "tag": told.get("tag") if tag is None else tag,
            "order": order, "limit": limit, "after": after, "shared": is_shared or None,
            "count": is_counted or None,
        })  # fmt: skip
        page = self._json("GET", "/recordings", params=asked)
        items = tuple(map(recording_from, page["items"]))
        return value_from(RecordingPage, {**page, "items": items})

    def facets(self, *, is_shared: bool = False) -> Facets:
        """Values to narrow the history by, of what one sees, the most frequent first."""
        found = self._json("GET", "/recordings/facets", params=given({"shared": is_shared or None}))
        return value_from(Facets, {name: _facet_from(one) for name, one in found.items()})

    def search(
        self,
        query: str,
        *,
        match: Literal["text", "sound"] = "text",
        filters: SearchFilters | None = None,
        limit: int = 20,
        hits: int = 3,
        after: str | None = None,
        is_shared: bool = False,
    ) -> SearchPage:
        """A page of recordings that hold it, the newest first, each with its best segments.

        Go on with ``after=page.next``. A first page also has others whose name holds it, in
        ``named``. ``is_shared``: only in what others share. See ``docs/search.md`` for what a query
        may hold.
        """
        asked = given(
            {
                **({} if filters is None else asdict(filters)),
                "query": query, "match": match, "limit": limit, "hits": hits, "after": after,
                "shared": is_shared or None,
            }
        )  # fmt: skip
        body = {name: _plain(one) for name, one in asked.items()}
        page = self._json("POST", "/search", json=body)
        return value_from(
            SearchPage,
            {
                **page,
                "items": tuple(map(found_from, page["items"])),
                "named": tuple(map(recording_from, page["named"])),
            },
        )

    def recording(self, recording_id: str) -> Recording:
        """Raises RecordingNotFound."""
        return recording_from(self._json("GET", f"/recordings/{id_part(recording_id)}"))

    def transcript(self, recording_id: str, revision: int | None = None) -> Transcript:
        """Raises RevisionNotFound while there is none."""
        asked = given({"revision": revision})
        found = self._json("GET", f"/transcripts/{id_part(recording_id)}", params=asked)
        del found["revision"]
        return Transcript.from_dict(found)

    def segments(
        self, recording_id: str, *, start: int = 0, limit: int = 200, revision: int | None = None
    ) -> SegmentPage:
        """A page of a transcript. Raises RevisionNotFound while there is none."""
        asked = given({"start": start, "limit": limit, "revision": revision})
        path = f"/transcripts/{id_part(recording_id)}/segments"
        page = self._json("GET", path, params=asked)
        return value_from(SegmentPage, {**page, "items": tuple(map(segment_from, page["items"]))})

    def export(
        self, recording_id: str, format: str, *, revision: int | None = None, words: bool = False
    ) -> bytes:
        """The transcript as a file: txt, srt, vtt, json, csv, md or docx."""
        asked = given({"revision": revision, "words": words or None})
        path = f"/exports/{id_part(recording_id)}/{id_part(format)}"
        return self._send("GET", path, params=asked).content

    def export_many(
        self,
        file: IO[bytes],
        formats: Sequence[str] = ("txt",),
        *,
        batch_id: str | None = None,
        recordings: Sequence[str] = (),
        words: bool = False,
    ) -> None:
        """Write a ZIP: of the transcripts of a batch, or of the recordings named."""
        body = given({"batch": batch_id, "recordings": list(recordings) or None})
        body |= {"formats": list(formats), "words": words}
        self._copy("POST", "/exports", file, json=body)

    def batch_table(self, file: IO[bytes], batch_id: str, form: Literal["csv", "json"]) -> None:
        """Write a table: a line for each recording of a batch, with its text."""
        self._copy("GET", f"/batches/{id_part(batch_id)}/table/{form}", file)

    def correct(self, recording_id: str, transcript: Transcript, *, based_on: int) -> int:
        """A new revision by a person; its number. Raises RevisionConflict."""
        body = {"based_on": based_on, "transcript": transcript.as_dict()}
        answer = self._json("PUT", f"/transcripts/{id_part(recording_id)}", json=body)
        return int(answer["revision"])

    # Changing ----------------------------------------------------------------------------------

    def tag(
        self, recording_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Recording:
        """With other tags; one that is there already, or not there, is no error."""
        body = {"add": list(map(written, add)), "remove": list(map(written, remove))}
        path = f"/recordings/{id_part(recording_id)}/tags"
        return recording_from(self._json("POST", path, json=body))

    def rename(self, recording_id: str, name: str) -> Recording:
        """Under another name."""
        path = f"/recordings/{id_part(recording_id)}"
        return recording_from(self._json("PATCH", path, json={"name": written(name)}))

    def change_many(
        self,
        action: Literal["delete", "undo", "tag", "untag"],
        recording_ids: Iterable[str],
        *,
        tags: Iterable[str] = (),
    ) -> BulkResult:
        """At most 500, one after another; what became of each. One refused keeps no other back."""
        body = {
            "action": action, "recordings": list(recording_ids), "tags": list(map(written, tags)),
        }  # fmt: skip
        found = self._json("POST", "/recordings/bulk", json=body)
        return value_from(BulkResult, {**found, "items": tuple(map(_done_from, found["items"]))})

    def delete(self, recording_id: str) -> Recording:
        return recording_from(self._json("DELETE", f"/recordings/{id_part(recording_id)}"))

    def undo(self, recording_id: str) -> Recording:
        return recording_from(self._json("POST", f"/recordings/{id_part(recording_id)}/undo"))

    def purge(self, recording_id: str) -> Receipt:
        """Remove a deleted recording for good."""
        return value_from(Receipt, self._json("POST", f"/recordings/{id_part(recording_id)}/purge"))

    # Shares ------------------------------------------------------------------------------------

    def shares(self, recording_id: str) -> list[Share]:
        """Who else may read it, the newest first. Raises NotAllowed for those whom it is shared."""
        found = self._json("GET", f"/recordings/{id_part(recording_id)}/shares")
        return [value_from(Share, one) for one in found["items"]]

    def share(
        self,
        recording_id: str,
        to_kind: ShareKind,
        to_name: str | None = None,
        *,
        days: int | None = None,
    ) -> Share:
        """Let a user, a department or everyone read it. Raises UserNotFound, DepartmentNotFound."""
        to = to_kind if to_name is None else {to_kind: written(to_name)}
        path = f"/recordings/{id_part(recording_id)}/shares"
        body = given({"to": to, "expires_days": days})
        return value_from(Share, self._json("POST", path, json=body))

    def end_share(self, recording_id: str, share_id: str) -> Share:
        """Take it back; what it was. Raises ShareNotFound."""
        path = f"/recordings/{id_part(recording_id)}/shares/{id_part(share_id)}"
        return value_from(Share, self._json("DELETE", path))

    # Notes -------------------------------------------------------------------------------------

    def notes(self, recording_id: str, *, limit: int = 50, after: str | None = None) -> NotePage:
        """A page in order of time, those about the whole recording first."""
        path = f"/recordings/{id_part(recording_id)}/notes"
        page = self._json("GET", path, params=given({"limit": limit, "after": after}))
        return NotePage(tuple(value_from(Note, one) for one in page["items"]), page["next"])

    def note(self, recording_id: str, note_id: str) -> Note:
        """Raises NoteNotFound."""
        return value_from(Note, self._json("GET", _note(recording_id, note_id)))

    def add_note(
        self,
        recording_id: str,
        text: str,
        *,
        at_s: float | None = None,
        end_s: float | None = None,
    ) -> Note:
        """About a moment, or a stretch; None: about the whole recording."""
        body = {"text": written(text), "at_s": at_s, "end_s": end_s}
        path = f"/recordings/{id_part(recording_id)}/notes"
        return value_from(Note, self._json("POST", path, json=body))

    def change_note(self, note: Note) -> Note:
        """Its text and times, for ``replace(note, text=…)`` of one that was read.

        Raises RevisionConflict when somebody was quicker.
        """
        body = {
            "based_on": note.revision, "text": written(note.text), "at_s": note.at_s,
            "end_s": note.end_s,
        }  # fmt: skip
        path = _note(note.recording_id, note.id)
        return value_from(Note, self._json("PATCH", path, json=body))

    def delete_note(self, recording_id: str, note_id: str) -> Note:
        """For good; what it was. Raises NoteNotFound."""
        path = _note(recording_id, note_id)
        return value_from(Note, self._json("DELETE", path))


def _note(recording_id: str, note_id: str) -> str:
    return f"/recordings/{id_part(recording_id)}/notes/{id_part(note_id)}"


def _plain(told: Any) -> Any:
    return told.isoformat() if isinstance(told, datetime) else told


def _facet_from(row: Mapping[str, Any]) -> Facet:
    items = tuple(value_from(FacetValue, one) for one in row["items"])
    return value_from(Facet, {**row, "items": items})


def _done_from(row: Mapping[str, Any]) -> BulkItem:
    error = row["error"]
    told = None if error is None else value_from(Problem, error)
    return value_from(BulkItem, {**row, "error": told})
