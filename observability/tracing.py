"""How code says that something happens: `with span(...)`, and what all spans below share: `with inherited(...)`.

Needs the OpenTelemetry API alone and works with any tracer. Nothing here raises into the code that it watches, and
every span that is opened is ended and detached, whatever leaves the block: `RunStopped`, Ctrl-C, `GeneratorExit`.
"""

import logging
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from observability.conventions import (
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
    INHERITED,
    Kind,
    kind_attributes,
)

_log = logging.getLogger(__name__)
_INHERITED = frozenset(INHERITED)
_CLIENT_KINDS = frozenset({Kind.CHAT, Kind.MCP})


@contextmanager
def span(
    tracer: trace.Tracer, kind: Kind, name: str, attributes: Mapping[str, Any] | None = None
) -> Generator[trace.Span]:
    """Open a span around a block, as the current one, and end it whatever happens.

    An exception that leaves the block is noted (type, message, and for an `Exception` its traceback) and goes on
    unchanged. Attributes that are None are left out; those among `conventions.INHERITED` are handed on to all below.

    Args:
        tracer: usually `Telemetry.tracer`.
        kind: what the span stands for.
        name: for example `invoke_agent perceptual`.
        attributes: names from `conventions`; values of strings, numbers, booleans or lists of them.
    """
    if type(tracer) is trace.NoOpTracer and _INHERITED.isdisjoint(attributes or ()):
        yield trace.INVALID_SPAN  # nothing is recorded, and nothing handed on
        return
    opened = _Guarded(_start(tracer, kind, name, attributes))
    token = context.attach(_below(opened.inner, attributes))
    try:
        yield opened
    except BaseException as error:
        opened.fail(error)
        raise
    finally:
        context.detach(token)
        opened.end()


@contextmanager
def inherited(attributes: Mapping[str, str | None]) -> Generator[None]:
    """Give every span that starts inside the block these attributes, also those in an MCP server's process.

    They travel as W3C baggage, so only names in `conventions.INHERITED` are taken: a tool server must not learn more.

    Raises:
        ValueError: for a name that is not in `conventions.INHERITED`; a mistake of the caller, not of a run.
    """
    strangers = sorted(set(attributes) - set(INHERITED))
    if strangers:
        raise ValueError(f"inherited() takes {', '.join(INHERITED)}, not {', '.join(strangers)}; set those on a span")
    token = context.attach(_with_baggage(context.get_current(), attributes))
    try:
        yield
    finally:
        context.detach(token)


def _start(tracer: trace.Tracer, kind: Kind, name: str, attributes: Mapping[str, Any] | None) -> trace.Span:
    start = {**kind_attributes(kind, name), **{k: v for k, v in (attributes or {}).items() if v is not None}}
    try:
        return tracer.start_span(
            name, kind=SpanKind.CLIENT if kind in _CLIENT_KINDS else SpanKind.INTERNAL, attributes=start
        )
    except Exception:  # noqa: BLE001 - promise: tracing never raises into a run
        _log.warning("span %r could not be started; it is missing from the trace", name, exc_info=True)
        return trace.INVALID_SPAN


def _below(opened: trace.Span, attributes: Mapping[str, Any] | None) -> context.Context:
    current = context.get_current()
    if attributes:
        current = _with_baggage(current, {key: attributes.get(key) for key in INHERITED if key in attributes})
    return trace.set_span_in_context(opened, current) if opened is not trace.INVALID_SPAN else current


def _with_baggage(current: context.Context, attributes: Mapping[str, Any]) -> context.Context:
    for key, value in attributes.items():
        if value is not None:
            current = baggage.set_baggage(key, str(value), current)
    return current


class _Guarded(trace.Span):
    """A span whose methods never raise: an attribute's own `__str__` may, and must not end a run."""

    def __init__(self, inner: trace.Span) -> None:
        self.inner = inner

    def end(self, end_time: int | None = None) -> None:
        self._try(self.inner.end, end_time)

    def get_span_context(self) -> trace.SpanContext:
        return self.inner.get_span_context()

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def set_attribute(self, key: str, value: Any) -> None:
        if value is not None:
            self._try(self.inner.set_attribute, key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._try(self.inner.add_event, name, attributes, timestamp)

    def add_link(self, context: trace.SpanContext, attributes: Any = None) -> None:
        self._try(self.inner.add_link, context, attributes)

    def update_name(self, name: str) -> None:
        self._try(self.inner.update_name, name)

    def is_recording(self) -> bool:
        return self.inner.is_recording()

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._try(self.inner.set_status, status, description)

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self._try(self.inner.record_exception, exception, attributes, timestamp, escaped)

    def fail(self, error: BaseException) -> None:
        """Note an exception that leaves the block."""
        if self.is_recording():
            self._try(self._fail, error)

    def _fail(self, error: BaseException) -> None:
        name, message = type(error).__qualname__, _message(error)
        event = {EXCEPTION_TYPE: name, EXCEPTION_MESSAGE: message}
        if isinstance(error, Exception):
            event[EXCEPTION_STACKTRACE] = "".join(traceback.format_exception(error))
        self.inner.set_attribute(ERROR_TYPE, name)
        self.inner.add_event("exception", event)
        self.inner.set_status(Status(StatusCode.ERROR, f"{name}: {message}"))

    def _try(self, call: Callable[..., object], *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception:  # noqa: BLE001 - promise: tracing never raises into a run
            _log.debug("a span lost an attribute, event or its end", exc_info=True)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - promise: an error whose own text fails is still noted
        return "(its message could not be read)"
