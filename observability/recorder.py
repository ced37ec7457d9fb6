"""Turns OpenTelemetry spans into records: inherited attributes, redaction and bounds, then on to the sinks.

An OpenTelemetry `SpanProcessor`, run on the thread that starts and ends the span. Secrets are out before anything is
queued.
"""

import logging
from collections.abc import Sequence
from typing import Protocol

from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from observability.content import Cleaner
from observability.conventions import INHERITED, kind_of
from observability.records import SpanEvent, SpanRecord, Status

_log = logging.getLogger(__name__)
_LONGEST_INHERITED = 256


class Sink(Protocol):
    """Where records go: the local store's writer, a collector's sender."""

    def put(self, record: SpanRecord) -> None:
        """Take a record at once, or less of it. Never waits; never raises."""
        ...


class Recorder(SpanProcessor):
    """Feeds every span of a tracer provider to the sinks, when it starts and again when it ends."""

    def __init__(self, cleaner: Cleaner, sinks: Sequence[Sink]) -> None:
        self._cleaner = cleaner
        self._sinks = sinks

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Hand on what is inherited, and write the open row."""
        try:
            _inherit(span, parent_context)
            self._emit(span)
        except Exception:  # noqa: BLE001 - promise: tracing never raises into a run
            _log.warning("the start of span %r is missing from the trace", span.name, exc_info=True)

    def show(self, span: Span) -> None:
        """Write an open span's row anew, with the attributes that it has by now."""
        try:
            if span.is_recording():
                self._emit(span)
        except Exception:  # noqa: BLE001 - promise: tracing never raises into a run
            _log.warning("the progress of a span is missing from the trace", exc_info=True)

    def on_end(self, span: ReadableSpan) -> None:
        """Write the whole span."""
        try:
            self._emit(span)
        except Exception:  # noqa: BLE001 - promise: tracing never raises into a run
            _log.warning("the end of span %r is missing from the trace", span.name, exc_info=True)

    def _emit(self, span: ReadableSpan) -> None:
        record = self._record(span)
        for sink in self._sinks:
            sink.put(record)

    def _record(self, span: ReadableSpan) -> SpanRecord:
        cleaning = self._cleaner.begin()
        identity = span.get_span_context() or trace.INVALID_SPAN_CONTEXT
        # the name and the message go first: a span whose content fills its bound still says what failed
        name, message = cleaning.text(span.name), cleaning.said(span.status.description)
        attributes = cleaning.attributes(span.attributes)
        events = [
            SpanEvent(cleaning.text(event.name), event.timestamp, cleaning.attributes(event.attributes))
            for event in span.events
        ]
        return SpanRecord(
            trace_id=format_trace_id(identity.trace_id),
            span_id=format_span_id(identity.span_id),
            parent_id=format_span_id(span.parent.span_id) if span.parent else None,
            name=name,
            kind=kind_of(attributes),
            otel_kind=span.kind.name,
            scope=span.instrumentation_scope.name if span.instrumentation_scope else "",
            start_ns=span.start_time or 0,
            end_ns=span.end_time,
            status=_status(span),
            message=message,
            attributes=attributes,
            events=events,
            truncated=cleaning.truncated,
            redacted=cleaning.redacted,
            size=cleaning.size,
        )


def _inherit(span: Span, parent_context: context.Context | None) -> None:
    """Copy what is inherited onto a starting span: from baggage, else from its parent.

    The parent matters in an MCP server's process: the SDK gives its own span the client's baggage, but runs the handler
    in a context without it.
    """
    carried = baggage.get_all(parent_context)
    above = getattr(trace.get_current_span(parent_context), "attributes", None)
    if not carried and not above:
        return
    own = span.attributes or {}
    given: dict[str, str] = {}
    for name in INHERITED:
        value = carried.get(name) or (above or {}).get(name)
        if value is not None and name not in own:
            given[name] = str(value)[:_LONGEST_INHERITED]
    if given:
        span.set_attributes(given)


def _status(span: ReadableSpan) -> Status:
    if span.status.status_code is StatusCode.ERROR:
        return Status.ERROR
    return Status.RUNNING if span.end_time is None else Status.OK
