"""Sends ended spans to an OTLP/HTTP collector, on a path of its own: a dead one costs neither the run nor the store.

The SDK's own exporter retries with a backoff that delays a process's exit by half a minute; so only its encoder is used
(the extra `otlp`), and the request is ours: one attempt at a time, bounded in time, the backlog bounded in spans.
"""

import logging
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Final
from urllib.parse import unquote

from observability.conventions import is_content
from observability.records import SpanRecord, Status

_log = logging.getLogger(__name__)

BACKLOG: Final = 4000
_BATCH: Final = 512
_GATHER_SECONDS: Final = 1.0
_REQUEST_SECONDS: Final = 2.0
_LONGEST_PAUSE: Final = 30.0
_AGAIN: Final = frozenset({408, 429, 502, 503, 504})

Encode = Callable[[Sequence[SpanRecord]], bytes]


class OtlpSender:
    """A bounded backlog and a thread that posts it.

    Args:
        endpoint: base URL, or the full one ending in `/v1/traces`; a user and password in it are sent as a header.
        headers: sent with each request.
        encode: makes a request's body (`encoder`).
        content: send what was said too; otherwise only facts leave the machine.
        clock: tells the moment, in seconds, by which `shutdown` is bounded.
        wait: waits until an event is set or so many seconds are over.
    """

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        encode: Encode,
        *,
        content: bool,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._clock, self._wait = clock, wait
        address, credentials = _address(endpoint)
        self._url = address if address.endswith("/v1/traces") else address.rstrip("/") + "/v1/traces"
        self._headers = {"Content-Type": "application/x-protobuf", **credentials, **headers}
        self._encode = encode
        self._content = content
        self._queue: SimpleQueue[SpanRecord | None] = SimpleQueue()
        self._backlog: deque[SpanRecord] = deque(maxlen=BACKLOG)  # the oldest goes when a collector stays away
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="trace-otlp", daemon=True)
        self._thread.start()

    def put(self, record: SpanRecord) -> None:
        """Take an ended span; starts are of no use to a collector."""
        if record.end_ns is None or self._ending.is_set() or self._queue.qsize() >= BACKLOG:
            return
        self._queue.put(record if self._content else _facts(record))

    def shutdown(self, timeout: float) -> bool:
        """Send what waits, once, and end; False if that didn't succeed within `timeout` seconds."""
        self._deadline = self._clock() + timeout
        self._ending.set()
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive() and not self._backlog

    def _work(self) -> None:
        pause = _GATHER_SECONDS
        while not self._ending.is_set():
            if not self._backlog:
                self._take(self._queue.get())
            self._wait(self._ending, pause)
            pause = _GATHER_SECONDS if self._send_all() else min(2 * pause, _LONGEST_PAUSE)
        self._send_all()

    def _take(self, record: SpanRecord | None) -> None:
        if record is not None:
            self._backlog.append(record)

    def _send_all(self) -> bool:
        while True:
            try:
                self._take(self._queue.get_nowait())
            except Empty:
                break
        while self._backlog:
            batch = [self._backlog[i] for i in range(min(_BATCH, len(self._backlog)))]
            if not self._post(batch):
                return False
            for _ in batch:
                self._backlog.popleft()
        return True

    def _post(self, batch: Sequence[SpanRecord]) -> bool:
        """Try once; True when the batch is done with, delivered or refused for good."""
        seconds = min(_REQUEST_SECONDS, self._deadline - self._clock())
        if seconds <= 0:
            return False
        try:
            request = urllib.request.Request(self._url, self._encode(batch), dict(self._headers))  # noqa: S310 - http only
            with _OPENER.open(request, timeout=seconds):
                return True
        except urllib.error.HTTPError as error:
            self._warn(f"answered {error.code}")
            return error.code not in _AGAIN
        except Exception as error:  # noqa: BLE001 - promise: a collector's failure stays here
            self._warn(str(error))
            return False

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "the OTLP collector at %s takes no spans (%s); the local trace store has them", self._url, reason
            )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the collector's key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def encoder(service: str) -> Encode:
    """Return the function that makes an OTLP request of records.

    Raises:
        ImportError: without the extra `otlp`.
    """
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.resources import Resource

    resource = Resource({"service.name": service})

    def encode(records: Sequence[SpanRecord]) -> bytes:
        return encode_spans([_span(record, resource) for record in records]).SerializeToString()

    return encode


def _facts(record: SpanRecord) -> SpanRecord:
    def facts(attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attributes.items() if not is_content(name)}

    events = [replace(event, attributes=facts(event.attributes)) for event in record.events]
    return replace(record, attributes=facts(record.attributes), events=events, message=None)


def _span(record: SpanRecord, resource: Any) -> Any:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags
    from opentelemetry.trace.status import Status as OtelStatus

    def identity(span_id: str) -> SpanContext:
        return SpanContext(int(record.trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))

    failed = record.status is Status.ERROR
    return ReadableSpan(
        name=record.name,
        context=identity(record.span_id),
        parent=identity(record.parent_id) if record.parent_id else None,
        resource=resource,
        attributes=dict(record.attributes),
        events=[Event(event.name, dict(event.attributes), event.time_ns) for event in record.events],
        kind=SpanKind[record.otel_kind],
        status=OtelStatus(StatusCode.ERROR, record.message) if failed else OtelStatus(StatusCode.UNSET),
        start_time=record.start_ns,
        end_time=record.end_ns,
        instrumentation_scope=InstrumentationScope(record.scope),
    )


def _address(endpoint: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, which no message may show, and the header that says them instead."""
    scheme, separator, rest = endpoint.partition("://")
    place, slash, path = rest.partition("/")
    who, _, host = place.rpartition("@")
    if not who:
        return endpoint, {}
    return scheme + separator + host + slash + path, {
        "Authorization": f"Basic {b64encode(unquote(who).encode()).decode()}"
    }
