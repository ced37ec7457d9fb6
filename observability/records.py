"""What travels from a span to the local store and to a collector: one redacted, bounded, frozen record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from observability.conventions import Kind


class Status(StrEnum):
    """How a span stands. `INTERRUPTED`: its process ended before the span did."""

    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at one moment within a span, such as an exception. Time in ns since 1970."""

    name: str
    time_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span as it is written: ids in hex, times in ns since 1970, texts redacted and cut.

    `truncated`, `redacted` and `shed` count the values that were cut, the secrets taken out, and the values that were
    given up because the queue was full. `size` is in bytes of text, roughly.
    """

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: Kind | None
    otel_kind: str
    scope: str
    start_ns: int
    end_ns: int | None
    status: Status
    message: str | None
    attributes: Mapping[str, Any]
    events: Sequence[SpanEvent]
    truncated: int = 0
    redacted: int = 0
    shed: int = 0
    size: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What identifies the span: a span id alone may repeat between traces."""
        return self.trace_id, self.span_id

    @property
    def vital(self) -> bool:
        """Whether a full queue still takes it: runs, layers and errors, without which a trace can't be read."""
        return self.kind in (Kind.RUN, Kind.LAYER) or self.status is Status.ERROR
