"""What an operator sees of the service: figures at /metrics, and request ids everywhere."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_parts import Running, running

from lingting.log import JsonLines
from lingting.store.figures import BACKUP_SETTING
from lingting.store.schema import JobRow

TOKEN = "prometheus-token-of-this-test"  # noqa: S105
ID = "ticket-4711.a_b"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("data")) as one:
        yield one


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the process writes to its log."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def samples(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (one.name, frozenset(one.labels.items())): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


def value(page: str, name: str, **labels: str) -> float | None:
    return samples(page).get((name, frozenset(labels.items())))


def metrics_of(server: Running) -> str:
    server.service.scrape._found = (-1e9, b"")  # not what was found a moment ago
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return answer.text


def submit(server: Running, request: str | None = None) -> Any:
    with server.client() as client:
        headers = {} if request is None else {"X-Request-Id": request}
        answer = client.post(
            "/recordings", files={"file": ("a.wav", b"RIFF" + request_bytes(request))},
            headers=headers,
        )  # fmt: skip
    assert answer.status_code == 202, answer.text
    return answer


def request_bytes(request: str | None) -> bytes:
    return (request or "none").encode() * 8


def test_requests_are_counted_by_template_and_status(server: Running) -> None:
    with server.client() as client:
        for name in ("0123456789ab", "ba9876543210"):
            assert client.get(f"/recordings/{name}").status_code == 404
    httpx.get(f"{server.url}/what/ever/somebody/types")
    page = metrics_of(server)
    at = {"method": "GET", "route": "/api/v1/recordings/{id}"}
    assert value(page, "lingting_http_requests_total", **at, status="404") == 2
    assert value(page, "lingting_http_request_seconds_count", **at) == 2
    assert value(page, "lingting_errors_total", code="store.recording_not_found") == 2
    none = {"method": "GET", "route": "(none)", "status": "404"}
    assert value(page, "lingting_http_requests_total", **none) == 1
    assert "0123456789ab" not in page
    assert "somebody" not in page
    assert value(page, "lingting_http_requests_under_way") == 1  # this very one


def test_queue_and_jobs_are_what_the_rows_say(server: Running) -> None:
    job = submit(server).json()["items"][0]["job"]["id"]
    with server.service.store.database.write() as session:
        row = session.get_one(JobRow, job)
        row.created_at, row.total_s = datetime.now(UTC) - timedelta(seconds=500), 60.0
    page = metrics_of(server)
    assert value(page, "lingting_jobs", state="queued") == 1
    assert value(page, "lingting_jobs", state="done") == 0
    assert value(page, "lingting_queue_jobs", lane="normal") == 1
    assert value(page, "lingting_queue_jobs", lane="high") == 0
    assert 500 <= (value(page, "lingting_queue_oldest_seconds", lane="normal") or 0) < 520
    assert value(page, "lingting_queue_audio_seconds", lane="normal") == 60.0
    with server.service.store.database.write() as session:
        row = session.get_one(JobRow, job)
        row.state, row.error = "failed", {"code": "audio.unreadable", "message": "x"}
    page = metrics_of(server)
    assert value(page, "lingting_jobs_failed", code="audio.unreadable") == 1
    assert value(page, "lingting_queue_jobs", lane="normal") == 0


def test_what_the_machine_and_the_parts_say(server: Running) -> None:
    server.service.store.set_setting(BACKUP_SETTING, 1_700_000_000)
    page = metrics_of(server)
    assert (value(page, "lingting_process_resident_bytes", process="web") or 0) > 30e6
    assert (value(page, "lingting_data_free_bytes") or 0) > 0
    assert value(page, "lingting_part_ready", part="database") == 1
    assert value(page, "lingting_part_ready", part="worker") == 0
    assert value(page, "lingting_workers", state="live") == 0
    assert value(page, "lingting_engine_up", engine="unix") == 0
    assert value(page, "lingting_metrics_source_up", source="database") == 1
    assert value(page, "lingting_backup_timestamp_seconds") == 1_700_000_000


def test_the_page_is_one_whole_of_families(server: Running) -> None:
    """What promtool asks of a page: each name once, with a help and a type."""
    submit(server, "families-1")
    page = metrics_of(server)
    names = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    for family in text_string_to_metric_families(page):
        assert family.documentation, family.name


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "10.0.0.9"},
        {"Forwarded": "for=10.0.0.9"},
        {"X-Real-IP": "10.0.0.9"},
        {"Host": "speech.example.org"},  # a page that had its name pointed here
    ],
)
def test_without_a_token_nobody_but_this_machine_reads(
    server: Running, headers: dict[str, str]
) -> None:
    answer = httpx.get(f"{server.url}/metrics", headers=headers)
    assert answer.status_code == 403
    assert "LINGTING_METRICS_TOKEN" in answer.json()["error"]["next_step"]


def test_with_a_token_it_is_asked_of_everybody(tmp_path: Path) -> None:
    with running(tmp_path, metrics_token=TOKEN, behind_proxy=True) as one:
        url = f"{one.url}/metrics"
        key = one.key("admin")
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Bearer {key}"}):
            assert httpx.get(url, headers=given).status_code == 401
        far = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "10.0.0.9"}
        assert httpx.get(url, headers=far).status_code == 200
        assert TOKEN not in httpx.get(url, headers=far).text


def test_behind_a_proxy_without_a_token_nobody_reads(tmp_path: Path) -> None:
    with running(tmp_path, behind_proxy=True) as one:
        assert httpx.get(f"{one.url}/metrics").status_code == 403


def test_a_request_id_goes_back_and_into_every_line(server: Running, lines: io.StringIO) -> None:
    with server.client() as client:
        answer = client.get("/recordings/0123456789ab", headers={"X-Request-Id": ID})
    assert answer.headers["x-request-id"] == ID
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    mine = [line for line in told if line.get("request") == ID]
    assert [line["event"] for line in mine] == ["request"]
    assert mine[0]["route"] == "/api/v1/recordings/{id}"


@pytest.mark.parametrize("given", ["short", "x" * 65, "with space", 'a"quote"aa', "-leading-1", ""])
def test_an_id_that_is_none_is_not_taken(server: Running, given: str) -> None:
    answer = httpx.get(f"{server.url}/healthz", headers={"X-Request-Id": given})
    made = answer.headers["x-request-id"]
    assert made != given
    assert len(made) == 16


def test_two_requests_have_two_ids(server: Running) -> None:
    ids = {httpx.get(f"{server.url}/healthz").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_an_error_answer_has_its_id_too(server: Running) -> None:
    answer = httpx.post(f"{server.url}/api/v1/recordings", headers={"X-Request-Id": ID})
    assert answer.status_code == 401
    assert answer.headers["x-request-id"] == ID


def test_a_job_remembers_which_request_it_is_of(server: Running) -> None:
    job = submit(server, "request-of-a-job").json()["items"][0]["job"]["id"]
    with server.service.store.database.read() as session:
        row = session.get_one(JobRow, job)
        assert row.request_id == "request-of-a-job"
        assert row.traceparent is None  # nothing is traced
