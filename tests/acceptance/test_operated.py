"""The whole service as its operator sees it: one request in the logs and traces of three processes,
and the figures of all of them on one page."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.whole_service import Service, until

REQUEST = "acceptance.request-1"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRETS = ("zzyx", "brumbleweft", "ostrakinda", "出现交易")


class Collector:
    """Takes spans as a collector does."""

    def __init__(self) -> None:
        bodies: list[bytes] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Nothing."""

        self.bodies = bodies
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self) -> list[tuple[str, Any]]:
        """The process and the span, of the caller's trace."""
        found = []
        for body in self.bodies:
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                told = {each.key: each.value.string_value for each in one.resource.attributes}
                for scope in one.scope_spans:
                    found += [(told["service.name"], span) for span in scope.spans]
        return [(name, span) for name, span in found if span.trace_id.hex() == TRACE]


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def service(
    tmp_path: Path, whisper_folder: Path, vad_folder: Path, collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Service]:  # fmt: skip
    monkeypatch.setenv("LINGTING_LOG_LEVEL", "info")
    monkeypatch.setenv("LINGTING_OTEL_ENDPOINT", collector.endpoint)
    found = Service(tmp_path / "data")
    yield found
    found.stop()


@pytest.mark.model
def test_one_request_is_followed_through_all_processes(
    service: Service, collector: Collector, samples_folder: Path, tmp_path: Path
) -> None:
    recording = tmp_path / "vorzimmer-zzyx.wav"
    shutil.copyfile(samples_folder / "asr_example.wav", recording)
    until(service.is_ready)
    key = (service.folder / "run" / "key").read_text().strip()
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as client:
        with recording.open("rb") as file:
            taken = client.post(
                "/api/v1/recordings",
                data={"language": "zh", "hotwords": "brumbleweft", "prompt": "ostrakinda"},
                files={"file": (recording.name, file)},
                headers={"X-Request-Id": REQUEST, "traceparent": CALLER},
            )
        assert taken.status_code == 202, taken.text
        assert taken.headers["x-request-id"] == REQUEST
        job = taken.json()["items"][0]["job"]["id"]
        until(lambda: client.get(f"/api/v1/jobs/{job}").json()["state"] == "done")
    page = httpx.get(f"{service.url}/metrics", timeout=20).text
    figures = {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }
    assert figures["lingting_workers", ("state", "live")] == 1
    assert figures["lingting_engine_up", ("engine", "unix")] == 1
    done = ("engine", "unix"), ("lane", "bulk"), ("model", "whisper-base"), ("outcome", "done")
    assert figures["lingting_engine_clips_total", *done] >= 1
    assert figures["lingting_part_ready", ("part", "engine")] == 1
    for process in ("web", "worker"):
        assert figures["lingting_process_resident_bytes", ("process", process)] > 30e6
    assert figures["lingting_engine_resident_bytes", ("engine", "unix")] > 100e6
    assert service.run("stop").returncode == 0
    assert service.process.wait(20) == 0

    told = (service.folder / "logs" / "service.jsonl").read_text()
    lines = [json.loads(line) for line in told.splitlines()]
    mine = [line for line in lines if line.get("request") == REQUEST]
    assert {line["process"] for line in mine} == {"web", "worker", "engine"}
    assert {line["event"] for line in mine} >= {"request", "job done", "host.answered"}
    assert all(line.get("job") == job for line in mine if line["process"] == "worker")

    spans = collector.spans()
    named = {span.name: span for _, span in spans}
    assert {(process, span.name) for process, span in spans} == {
        ("lingting-web", "http POST"), ("lingting-worker", "job"), ("lingting-worker", "group"),
        ("lingting-engine", "engine"),
    }  # fmt: skip
    above = {name: span.parent_span_id for name, span in named.items()}
    assert above["http POST"].hex() == "00f067aa0ba902b7"
    assert above["job"] == named["http POST"].span_id
    groups = {span.span_id for _, span in spans if span.name == "group"}
    assert all(span.parent_span_id in groups for _, span in spans if span.name == "engine")
    assert above["group"] == named["job"].span_id
    everything = told + page + service.log.read_text() + repr(spans)
    assert [secret for secret in SECRETS if secret in everything] == []
