"""Builds the tracing of one process from its settings: provider, recorder, local store, collector."""

import atexit
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry import trace

from observability.errors import TelemetryError
from observability.settings import TraceSettings, environment_secrets

_log = logging.getLogger(__name__)
SCOPE = "dionysus"


class Telemetry:
    """The traces of one process, and the tracer that makes them.

    Whoever builds it shuts it down; a normal exit does so too, within 2 s. If the store can't be written (not ours,
    newer, read-only) a warning says why and spans go nowhere: a run never fails for its trace. Thread-safe. A forked
    child records nothing; it builds its own.

    Args:
        settings: where traces go and how much of them; with `enabled=False` nothing is recorded or loaded.
        service: this process's name, such as `dionysus` or `dionysus-memory`.
        secrets: values that must never be written, beside those of environment variables that are named like secrets.
    """

    def __init__(self, settings: TraceSettings, *, service: str, secrets: Iterable[str] = ()) -> None:
        self.tracer: trace.Tracer = trace.NoOpTracer()
        self._pid = os.getpid()
        self._provider: Any = None
        self._recorder: Any = None
        self._writer: Any = None
        self._sender: Any = None
        if settings.enabled:
            self._build(settings, service, secrets)
            atexit.register(self.shutdown)

    def __enter__(self) -> "Telemetry":
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def show(self, span: trace.Span) -> None:
        """Have the local store show an open span with the attributes that it has by now. Never waits; never raises."""
        if self._recorder is not None:
            self._recorder.show(getattr(span, "inner", span))

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all ended spans are in the local store; False if `timeout` seconds were too few.

        A collector is not waited for.
        """
        return self._writer is None or self._writer.flush(timeout)

    def shutdown(self, timeout: float = 2.0) -> None:
        """Write what waits and stop, in at most `timeout` seconds. Spans that are still open become `interrupted`."""
        atexit.unregister(self.shutdown)
        if os.getpid() != self._pid:
            return
        deadline = time.monotonic() + timeout
        writer, self._writer = self._writer, None
        sender, self._sender = self._sender, None
        # the local store first: it takes milliseconds, and a dead collector must not use up its time
        if writer is not None and not writer.shutdown(timeout):
            _log.warning("the trace store took longer than %.1f s to close; its last spans may be missing", timeout)
        if sender is not None:
            sender.shutdown(max(0.0, deadline - time.monotonic()))

    def make_global(self) -> None:
        """Let other libraries' spans come here too, and flush when SIGTERM ends the process.

        For programs' entries only: an MCP server needs it, since the SDK asks OpenTelemetry's global provider. A
        SIGTERM handler is set only from the main thread and only where nobody has set one.
        """
        if self._provider is None:
            return
        trace.set_tracer_provider(self._provider)
        unhandled = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if unhandled and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, _frame: object) -> None:
        self.shutdown()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # so that the parent sees a death by SIGTERM, as without us

    def _build(self, settings: TraceSettings, service: str, secrets: Iterable[str]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON

        from observability.content import Cleaner
        from observability.recorder import Recorder
        from observability.redaction import Redactor

        self._writer = _writer(settings, service)
        self._sender = _sender(settings, service)
        sinks = [sink for sink in (self._writer, self._sender) if sink is not None]
        if not sinks:
            return
        cleaner = Cleaner(
            Redactor([*secrets, *environment_secrets()], settings.redact),
            value_limit=settings.value_limit,
            span_limit=settings.span_limit,
            content=settings.content,
        )
        # explicit limits and sampler, since the SDK's defaults come from environment variables of other programs
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": service}),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attributes=512, max_events=256, max_links=64),
        )
        self._recorder = Recorder(cleaner, sinks)
        self._provider.add_span_processor(self._recorder)
        self.tracer = self._provider.get_tracer(SCOPE)


def _writer(settings: TraceSettings, service: str) -> Any:
    from observability.schema import open_to_write
    from observability.writer import LocalWriter

    try:
        connection = open_to_write(settings.path)
    except TelemetryError as error:
        _log.warning("nothing is traced: %s", error)
        return None
    return LocalWriter(connection, service, limit=settings.queue_limit)


def _sender(settings: TraceSettings, service: str) -> Any:
    if settings.otlp_endpoint is None:
        return None
    from observability.otlp import OtlpSender, encoder

    try:
        encode = encoder(service)
    except ImportError:
        _log.warning("otlp_endpoint is set, but its encoder is missing; pip install 'dionysus-mind[otlp]'")
        return None
    headers = {name: value.get_secret_value() for name, value in settings.otlp_headers.items()}
    return OtlpSender(settings.otlp_endpoint, headers, encode, content=settings.otlp_content)
