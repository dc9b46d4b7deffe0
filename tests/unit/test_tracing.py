"""Spans: nothing without a place to send them, and no content with one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lingting import tracing
from lingting.errors import AudioInvalid

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def sent() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure("http://nowhere.invalid", "test", exporter)
    yield exporter
    tracing.close()


def test_without_a_place_nothing_is_imported_and_nothing_told() -> None:
    code = (
        "import sys; from lingting import tracing; tracing.configure(None, 'web')\n"
        "import lingting.server.app\n"
        "with tracing.span('a', parent='x') as span: span.set_attribute('b', 1)\n"
        "tracing.begin('c').end(d=1)\n"
        "assert tracing.headers() == {} and tracing.parent_now() is None\n"
        "ours = ('opentelemetry.sdk', 'opentelemetry.exporter')  # FastAPI imports the bare API\n"
        "print([name for name in sys.modules if name.startswith(ours)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_caller_is_continued_and_passed_on(sent: InMemorySpanExporter) -> None:
    with tracing.span("http", parent=CALLER):
        passed = tracing.headers()["traceparent"]
        job = tracing.begin("job", parent=passed)
    with tracing.span("group", parent=job.traceparent):
        pass
    job.end(groups=1)
    tracing.close()
    spans = {one.name: one for one in sent.get_finished_spans()}
    assert {f"{one.context.trace_id:032x}" for one in spans.values()} == {CALLER.split("-")[1]}
    assert f"{spans['http'].parent.span_id:016x}" == CALLER.split("-")[2]
    assert spans["job"].parent.span_id == spans["http"].context.span_id
    assert spans["group"].parent.span_id == spans["job"].context.span_id


@pytest.mark.parametrize("given", ["", "00-xyz", CALLER.upper(), CALLER + "-more", None])
def test_a_parent_that_is_none_begins_a_trace(
    sent: InMemorySpanExporter, given: str | None
) -> None:
    with tracing.span("http", parent=given):
        pass
    tracing.close()
    (one,) = sent.get_finished_spans()
    assert one.parent is None


def test_of_an_error_only_its_code_is_told(sent: InMemorySpanExporter) -> None:
    for error in (AudioInvalid("Quincunxes was said."), ValueError("Quincunxes")):
        with pytest.raises(type(error)), tracing.span("group"):
            raise error
    tracing.close()
    spans = sent.get_finished_spans()
    assert [one.attributes["error.type"] for one in spans] == [AudioInvalid.code, "ValueError"]
    assert "Quincunxes" not in "".join(one.to_json() for one in spans)
