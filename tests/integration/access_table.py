"""Who may do what, route by route: the table that ``test_access_table`` holds the service to.

A route that is not here fails the test, and so does a row without a route. A row is the policy of
the route and a request that succeeds for whoever may make it, about things of the user *owner* in
the department *sales*; ``{…}`` of the path is filled from what the test has made.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACTORS = (
    "nobody", "admin", "manager", "owner", "reader", "searcher", "colleague", "partner", "machine",
    "other_manager", "stranger",
)  # fmt: skip
"""``reader`` and ``searcher`` are the owner with less of a key; ``manager``, ``colleague`` and
``machine`` (a service) are of the same department; ``partner`` is the owner's colleague when the
department is shared; the last two are of another department."""

OK, CANNOT, NO_KEY, FORBIDDEN, HIDDEN, CONFLICT = "ok", 400, 401, 403, 404, 409


def _policy(default: str | int, **others: str | int) -> dict[str, str | int]:
    return {"nobody": NO_KEY, **dict.fromkeys(ACTORS[1:], default), **others}


POLICIES: Mapping[str, Mapping[str, str | int]] = {
    # anybody, without a key
    "open": dict.fromkeys(ACTORS, OK),
    # whoever has a key, whatever it is for
    "signed": _policy(OK),
    # the scope read, and the scope write: about one's own things, or lists of what one sees
    "read": _policy(OK, searcher=FORBIDDEN),
    "search": _policy(OK),
    "write": _policy(OK, reader=FORBIDDEN, searcher=FORBIDDEN),
    # one thing of the owner's: to look at, to change, to hold
    "see": _policy(
        HIDDEN, admin=OK, manager=OK, owner=OK, reader=OK, searcher=FORBIDDEN, partner=OK
    ),
    "change": _policy(
        HIDDEN, admin=OK, manager=OK, owner=OK, reader=FORBIDDEN, searcher=FORBIDDEN,
        partner=FORBIDDEN,
    ),
    "hold": _policy(
        HIDDEN, admin=OK, manager=OK, owner=FORBIDDEN, reader=FORBIDDEN, searcher=FORBIDDEN,
        partner=FORBIDDEN,
    ),
    # one's own only, but for administrators
    "private": _policy(
        HIDDEN, admin=OK, owner=OK, reader=OK, searcher=FORBIDDEN
    ),
    "asked": _policy(HIDDEN, owner=OK, reader=OK, searcher=FORBIDDEN),
    "mine": _policy(HIDDEN, owner=OK, reader=FORBIDDEN, searcher=FORBIDDEN),
    "own_hook": _policy(HIDDEN, admin=OK, owner=OK, reader=FORBIDDEN, searcher=FORBIDDEN),
    # whoever looks after somebody: people, their keys, the trail
    "oversee": _policy(FORBIDDEN, admin=OK, manager=OK, other_manager=OK),
    "look_after": _policy(FORBIDDEN, admin=OK, manager=OK, other_manager=HIDDEN),
    "end_key": _policy(
        HIDDEN, admin=OK, manager=OK, owner=OK, reader=FORBIDDEN, searcher=FORBIDDEN
    ),
    "make_key": _policy(FORBIDDEN, admin=OK),
    "sign_out": _policy(FORBIDDEN, admin=OK, owner=OK),
    "admin": _policy(FORBIDDEN, admin=OK),
    # nothing of `lingting serve` runs in the test
    "restart": _policy(FORBIDDEN, admin=CONFLICT),
    # whoever may write is told that the request is wrong
    "cannot": _policy(CANNOT, reader=FORBIDDEN, searcher=FORBIDDEN),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    policy: str
    json: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    files: Any = None
    data: Any = None
    first: str = ""
    """What is done to the recording before: deleted, held."""
    values: Mapping[str, str] = field(default_factory=dict)
    """For other parts of the path than those of the thing itself."""
    is_endless: bool = False
    needs: str = ""
    """A fixture without which the request cannot succeed."""


def tone(name: str) -> bytes:
    """A tenth of a second that can be decoded, another one for each name."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(name.encode().ljust(3_200, b"\0"))
    return data.getvalue()


_CORRECTION = {
    "based_on": 1,
    "transcript": {
        "segments": [{"start_s": 0.0, "end_s": 1.0, "text": "x", "spoken": "x"}],
        "duration_s": 1.0,
    },
}
_TUS = {"Tus-Resumable": "1.0.0"}
_PIECE = {**_TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
_HOOK = {"url": "https://hooks.example.invalid/", "events": ["job.done"]}
_BACKUP = {"name": "lingting-table.tar"}
_JOB = {"values": {"action": "pause"}}

ROWS: Mapping[str, Row] = {
    "GET /healthz": Row("open"),
    "HEAD /healthz": Row("open"),
    "GET /readyz": Row("open"),
    "GET /metrics": Row("open"),  # to this machine, or with its own token: test_server_metrics
    "GET /": Row("open"),
    "GET /login": Row("open"),
    "GET /login/oidc": Row("open"),
    "GET /login/oidc/callback": Row("open"),
    "POST /login": Row("open", data={"user": "x", "password": "y"}),
    "POST /logout": Row("open"),
    "GET /setup": Row("open"),
    "POST /setup": Row("open", data={"token": "x"}),
    "POST /mcp": Row(
        "signed",
        json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
        headers={"Accept": "application/json, text/event-stream"},
    ),
    "GET /v1/models": Row("read"),
    "GET /v1/models/{name:path}": Row("read", values={"name": "whisper-1"}),
    "POST /v1/audio/transcriptions": Row(
        "write",
        data={"model": "gpt-4o-transcribe", "stream": "true"},
        files={"file": ("a.mp3", b"sound")},
        is_endless=True,
    ),
    "POST /v1/audio/translations": Row(
        "cannot",
        data={"model": "whisper-1", "response_format": "diarized_json"},
        files={"file": ("a.mp3", b"sound")},
    ),
    "GET /api/v1/status": Row("read"),
    "GET /api/v1/openapi.json": Row("signed"),
    "GET /api/v1/docs": Row("signed"),
    "POST /api/v1/recordings": Row("write", files={"file": ("a.mp3", b"sound")}),
    "GET /api/v1/recordings": Row("read"),
    "GET /api/v1/recordings/facets": Row("read"),
    "POST /api/v1/recordings/bulk": Row(
        "write", json={"action": "tag", "recordings": [], "tags": ["a"]}
    ),  # what it does to each: test_history_pages
    "GET /api/v1/recordings/{id}": Row("see"),
    "PATCH /api/v1/recordings/{id}": Row("change", json={"name": "x"}),
    "GET /api/v1/recordings/{id}/shares": Row("see"),
    "POST /api/v1/recordings/{id}/shares": Row("change", json={"to": "everyone"}),
    "DELETE /api/v1/recordings/{id}/shares/{share}": Row("change"),
    "GET /api/v1/recordings/{id}/audio": Row("see"),
    "HEAD /api/v1/recordings/{id}/audio": Row("see"),
    "GET /api/v1/recordings/{id}/peaks": Row("see"),
    "POST /api/v1/recordings/{id}/tags": Row("change", json={"add": ["a"]}),
    "GET /api/v1/recordings/{id}/notes": Row("see"),
    "POST /api/v1/recordings/{id}/notes": Row("change", json={"text": "a"}),
    "GET /api/v1/recordings/{id}/notes/{note}": Row("see"),
    "PATCH /api/v1/recordings/{id}/notes/{note}": Row("change", json={"based_on": 1, "text": "b"}),
    "DELETE /api/v1/recordings/{id}/notes/{note}": Row("change"),
    "POST /api/v1/recordings/{id}/jobs": Row("change", json={}),
    "DELETE /api/v1/recordings/{id}": Row("change"),
    "POST /api/v1/recordings/{id}/undo": Row("change", first="deleted"),
    "POST /api/v1/recordings/{id}/purge": Row("change", first="deleted"),
    "POST /api/v1/recordings/{id}/hold": Row("hold"),
    "POST /api/v1/recordings/{id}/release": Row("hold", first="held"),
    "GET /api/v1/transcripts/{id}": Row("see"),
    "GET /api/v1/transcripts/{id}/segments": Row("see"),
    "GET /api/v1/transcripts/{id}/revisions": Row("see"),
    "PUT /api/v1/transcripts/{id}": Row("change", json=_CORRECTION),
    "PATCH /api/v1/transcripts/{id}": Row(
        "change", json={"based_on": 1, "segments": [{"position": 0, "text": "x"}]}
    ),
    "POST /api/v1/transcripts/{id}/restore": Row("change", json={"revision": 1}),
    "POST /api/v1/exports": Row("see", json={"recordings": []}),
    "GET /api/v1/batches/{id}/table/{form}": Row("see", values={"form": "csv"}),
    "GET /api/v1/exports/{id}/{format}": Row("see", values={"format": "txt"}),
    "GET /api/v1/jobs": Row("read"),
    "GET /api/v1/jobs/submitted": Row("asked", headers={"Idempotency-Key": "k"}),
    "GET /api/v1/jobs/{id}": Row("see"),
    "GET /api/v1/jobs/{id}/segments": Row("see"),
    "POST /api/v1/jobs/{id}/{action}": Row("change", **_JOB),  # type: ignore[arg-type]
    "GET /api/v1/batches": Row("read"),
    "POST /api/v1/batches": Row("write", json={"name": "b"}),
    "GET /api/v1/batches/{id}": Row("see"),
    "POST /api/v1/batches/{id}/{action}": Row("change", **_JOB),  # type: ignore[arg-type]
    "GET /api/v1/events": Row("read", is_endless=True),
    "POST /api/v1/search": Row("signed", json={"query": "x"}),
    "GET /api/v1/speech/parameters": Row("read"),
    "POST /api/v1/speech": Row("read", files={"file": ("a.wav", tone("a"))}, needs="vad_folder"),
    "POST /api/v1/recordings/{id}/speech": Row("see", json={}, needs="vad_folder"),
    "GET /api/v1/glossaries": Row("read"),
    "GET /api/v1/glossaries/{name}": Row("private"),
    "PUT /api/v1/glossaries/{name}": Row("write", json={"words": ["x"]}, values={"name": "new"}),
    "DELETE /api/v1/glossaries/{name}": Row("mine"),
    "GET /api/v1/users": Row("oversee"),
    "GET /api/v1/users/me": Row("signed"),
    "POST /api/v1/users": Row("admin", json={"name": "newcomer"}),
    "GET /api/v1/users/{name}": Row("look_after"),
    "PATCH /api/v1/users/{name}": Row("admin", json={"limits": {}}),
    "POST /api/v1/users/{name}/disable": Row("admin", values={"name": "spare"}),
    "POST /api/v1/users/{name}/enable": Row("admin", values={"name": "spare"}),
    "POST /api/v1/users/{name}/link": Row("admin", values={"name": "spare"}),
    "DELETE /api/v1/users/{name}/sessions": Row("sign_out"),
    "GET /api/v1/departments": Row("signed"),
    "POST /api/v1/departments": Row("admin", json={"name": "new"}),
    "PATCH /api/v1/departments/{name}": Row(
        "admin", json={"is_shared": False}, values={"name": "law"}
    ),
    "GET /api/v1/keys": Row("signed"),
    "POST /api/v1/keys": Row("make_key", json={"name": "more", "scopes": ["read"]}),
    "DELETE /api/v1/keys/{id}": Row("end_key"),
    "GET /api/v1/settings": Row("admin"),
    "PATCH /api/v1/settings": Row("admin", json={"audio_s_per_day": None}),
    "GET /api/v1/retention": Row("admin"),
    "PUT /api/v1/retention": Row("admin", json={"rules": []}),
    "GET /api/v1/audit": Row("oversee"),
    "GET /api/v1/audit/verify": Row("admin"),
    "GET /api/v1/models": Row("read"),
    "GET /api/v1/models/{id}": Row("read", values={"id": "whisper-base"}),
    "POST /api/v1/models/{id}/load": Row("admin", values={"id": "tiny"}),
    "POST /api/v1/models/{id}/unload": Row("admin", values={"id": "tiny"}),
    "POST /api/v1/models/{id}/pull": Row("admin", values={"id": "fsmn-vad"}, needs="vad_folder"),
    "POST /api/v1/engines/clear": Row("admin"),
    "GET /api/v1/backups": Row("admin"),
    "POST /api/v1/backups": Row("admin"),
    "GET /api/v1/backups/{name}": Row("admin", values=_BACKUP),
    "POST /api/v1/backups/{name}/verify": Row("admin", values=_BACKUP),
    "GET /api/v1/backups/{name}/file": Row("admin", values=_BACKUP),
    "DELETE /api/v1/backups/{name}": Row("admin", values=_BACKUP),
    "GET /api/v1/system": Row("admin"),
    "POST /api/v1/processes/{name}/restart": Row("restart", values={"name": "worker"}),
    "OPTIONS /api/v1/uploads": Row("read"),
    "GET /api/v1/uploads": Row("read"),
    "POST /api/v1/uploads": Row("write", headers={**_TUS, "Upload-Length": "9"}),
    "HEAD /api/v1/uploads/{id}": Row("mine", headers=_TUS),
    "GET /api/v1/uploads/{id}": Row("mine"),
    "PATCH /api/v1/uploads/{id}": Row("mine", headers=_PIECE),
    "DELETE /api/v1/uploads/{id}": Row("mine", headers=_TUS),
    "POST /api/v1/recordings/sample": Row("write", json={"sample": "sentence"}),
    "POST /api/v1/recordings/from-url": Row("write", json={"url": "{served}/a.mp3"}),
    "GET /api/v1/webhooks": Row("read"),
    "POST /api/v1/webhooks": Row("write", json=_HOOK),
    "GET /api/v1/webhooks/{id}": Row("private"),
    "PATCH /api/v1/webhooks/{id}": Row("own_hook", json={"note": "x"}),
    "DELETE /api/v1/webhooks/{id}": Row("own_hook"),
    "POST /api/v1/webhooks/{id}/rotate": Row("own_hook"),
    "POST /api/v1/webhooks/{id}/test": Row("own_hook"),
    "POST /api/v1/webhooks/{id}/replay": Row("own_hook"),
    "GET /api/v1/webhooks/{id}/deliveries": Row("private"),
    "GET /api/v1/webhooks/{id}/deliveries/{delivery}": Row("private"),
    "POST /api/v1/webhooks/{id}/deliveries/{delivery}/replay": Row("own_hook"),
}
