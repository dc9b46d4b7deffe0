"""Traces by OpenTelemetry, when LINGTING_OTEL_ENDPOINT says where to; else its SDK is not imported.

::

    http  POST /api/v1/recordings
     └─ job                            in the worker, maybe hours later
         ├─ group                      read, heard, stored
         │   └─ engine                 in the engine host: from arrival to answer
         └─ group …

The way goes in ``traceparent`` headers (W3C), and through the queue in the job's row. Spans hold
routes, codes, ids, counts and seconds; never text, names of files, hotwords or prompts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lingting.errors import ExtraMissing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext, Tracer

HEADER = "traceparent"
_PARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """What a part of the work tells about itself."""

    def set_attribute(self, key: str, value: str | int | float | bool) -> None: ...


class _Nothing:
    def set_attribute(self, key: str, value: str | int | float | bool) -> None:
        """Nobody listens."""


_NOTHING = _Nothing()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def configure(endpoint: str | None, process: str, exporter: Any = None) -> None:
    """Send spans to ``endpoint`` (OTLP over HTTP) from now on; None changes nothing.

    ``exporter`` takes them instead. Raises ExtraMissing.
    """
    global _provider, _tracer
    if endpoint is None:
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint=endpoint)
    except ModuleNotFoundError as exc:
        raise ExtraMissing(
            f"Traces need {exc.name}, which is not installed.",
            'Run `pip install "lingting[otel]"`, or unset LINGTING_OTEL_ENDPOINT.',
        ) from exc
    from lingting import __version__

    told = {"service.name": f"lingting-{process}", "service.version": __version__}
    _provider = TracerProvider(resource=Resource.create(told))
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("lingting")


def close() -> None:
    """Send what waits; from now on nothing is traced."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


@contextmanager
def span(
    name: str, *, parent: str | None = None, **told: str | int | float | bool
) -> Iterator[Span]:
    """A part of the work, below ``parent`` (a ``traceparent``) or below the span around it.

    An exception is told by its type only: its sentence may quote what was given.
    """
    if _tracer is None:
        yield _NOTHING
        return
    from opentelemetry.trace import Status, StatusCode

    with _tracer.start_as_current_span(
        name, context=_context(parent), attributes=told, record_exception=False,
        set_status_on_exception=False,
    ) as made:  # fmt: skip
        try:
            yield made
        except Exception as exc:
            made.set_attribute("error.type", getattr(exc, "code", type(exc).__name__))
            made.set_status(Status(StatusCode.ERROR))
            raise


class Begun:
    """A span that ends when it is told to, maybe in another thread than it began."""

    def __init__(self, made: Any = None) -> None:
        self._made = made
        self.traceparent = None if made is None else _written(made.get_span_context())

    def end(self, **told: str | int | float | bool) -> None:
        if self._made is not None:
            for name, value in told.items():
                self._made.set_attribute(name, value)
            self._made.end()


def begin(name: str, *, parent: str | None = None, **told: str | int | float | bool) -> Begun:
    """As :func:`span`, without being around anything: name its ``traceparent`` as the parent."""
    if _tracer is None:
        return Begun()
    return Begun(_tracer.start_span(name, context=_context(parent), attributes=told))


def parent_now() -> str | None:
    """The span around this as a ``traceparent``; None where nothing is traced."""
    if _tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    found = get_current_span().get_span_context()
    return _written(found) if found.is_valid else None


def _written(found: SpanContext) -> str:
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"


def headers() -> dict[str, str]:
    """For whoever goes on with it elsewhere."""
    found = parent_now()
    return {} if found is None else {HEADER: found}


def _context(parent: str | None) -> Any:
    """None: whatever is around."""
    if parent is None or not _PARENT.fullmatch(parent):
        return None
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    _, trace_id, span_id, flags = parent.split("-")
    given = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(given))
