"""Values of the service from its JSON, also from a newer one's."""

from datetime import UTC, datetime
from typing import Any

from lingting.client.administration import Administration
from lingting.client.values import job_from, value_from
from lingting.store.records import Job, Limits, Recording
from lingting.transcript import Failure

AT = "2026-11-22T01:02:03.000004+00:00"
NEWER = {"told_by_newer_ones": 1}


def test_times_and_lists_become_what_values_have() -> None:
    row = {**dict.fromkeys(Recording.__dataclass_fields__), "created_at": AT, "tags": ["a", "b"]}
    found = value_from(Recording, {**row, **NEWER})
    assert found.created_at == datetime(2026, 11, 22, 1, 2, 3, 4, tzinfo=UTC)
    assert (found.tags, found.deleted_at) == (("a", "b"), None)


def test_fields_of_a_newer_service_are_left_out_inside_too() -> None:
    failure = {"code": "engine.failed", "message": "It failed."}
    row: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__)
    assert job_from({**row, "error": {**failure, **NEWER}}).error == Failure(**failure)

    class Newer:
        def ask(self, *_: str) -> dict[str, Any]:
            return {
                "user": "wang", "by": "key:1", "role": "member", "scopes": ["read"],
                "department": None, "limits": {"stored_bytes": 5.0, **NEWER}, "used": {}, **NEWER,
            }  # fmt: skip

    me = Administration(Newer()).me()  # type: ignore[arg-type]
    assert (me.limits, me.scopes) == (Limits(stored_bytes=5.0), ("read",))
