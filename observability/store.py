"""The read side of the trace store: which runs there are, and one run as a tree."""

import difflib
import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from observability import conventions as names
from observability.conventions import own_kind
from observability.errors import TelemetryError
from observability.owner import Owner
from observability.records import SpanEvent, Status
from observability.rows import CONTENT_KEY, interrupt
from observability.runs import Cost, Losses, RunSummary, RunTrace, SpanNode, Text
from observability.schema import open_to_read

_SUGGESTED: Final = 5
_ROOT: Final = "run, trace_id, span_id, name, status, message, start_ns, end_ns, attributes"
_FOUND: Final = (
    f"SELECT {_ROOT} FROM span WHERE root = 1 AND (substr(run, 1, :n) = :prefix OR substr(trace_id, 1, :n) = :prefix)"  # noqa: S608
    " ORDER BY start_ns DESC LIMIT 50"
)
_SELECT: Final = (
    "SELECT span_id, parent_id, kind, name, service, layer, status, message, start_ns, end_ns, input_tokens,"
    " output_tokens, usd, attributes, events FROM span LEFT JOIN process ON process.id = span.process"
)
_ONE_SPAN: Final = _SELECT + " WHERE trace_id = :trace AND span_id = :span"
# a tool server that takes the trace but not the baggage leaves its spans without the run's id: they count all the same
_SPANS: Final = _SELECT + " WHERE trace_id = :trace AND run IN (:run, :trace) ORDER BY start_ns, span_id"
_SUMS: Final = """SELECT
    sum(kind = 'step' AND coalesce(json_extract(attributes, :closing), 0) = 0),
    count(*), sum(status = 'error'), sum(kind = 'chat'),
    sum(CASE WHEN kind = 'chat' THEN input_tokens END), sum(CASE WHEN kind = 'chat' THEN output_tokens END),
    sum(CASE WHEN kind = 'chat' THEN usd END), sum(kind = 'chat' AND usd IS NULL AND end_ns IS NOT NULL),
    sum(shed), sum(truncated), sum(redacted),
    (SELECT coalesce(sum(dropped), 0) FROM loss WHERE loss.run = :run)
    FROM span WHERE trace_id = :trace AND run IN (:run, :trace)"""
_CLOSING: Final = f'$."{names.STEP_CLOSING}"'


class TraceStore:
    """Reads one trace file, while others write it. Thread-safe; close it, or use it as a context manager.

    Raises:
        TelemetryError: if there is no trace store at `path`, or a newer one, or another program's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._here = Owner.here()
        self._lock = threading.Lock()
        self._connection = open_to_read(path)

    def __enter__(self) -> "TraceStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the store can't be used afterwards."""
        with self._lock:
            self._connection.close()

    def mark_interrupted(self) -> int:
        """Close the open spans of processes that crashed, as `interrupted`; return how many processes that were.

        `runs` and `run` do it by themselves. In a file that can't be written nothing changes.
        """
        with self._lock:
            try:
                return interrupt(self._connection, self._here)
            except sqlite3.OperationalError:  # read-only, or busy for long: the next reader does it
                return 0

    def runs(self, limit: int = 20, *, status: Status | None = None, session: str | None = None) -> list[RunSummary]:
        """Return the newest runs first.

        A run is a `Kind.RUN` span, or the first span of a trace that other code made; requests that reached the memory
        server from outside any run are not listed.

        Args:
            limit: how many at most.
            status: only runs that stand so.
            session: only runs of this session.
        """
        self.mark_interrupted()
        clause, given = "", dict[str, Any](limit=limit)
        if status is not None:
            clause, given["status"] = " AND status = :status", status.value
        if session is not None:
            clause += " AND json_extract(attributes, :session_path) = :session"
            given |= {"session": session, "session_path": f'$."{names.SESSION}"'}
        query = f"SELECT {_ROOT} FROM span WHERE root = 1{clause} ORDER BY start_ns DESC LIMIT :limit"  # noqa: S608 - own text
        rows = self._rows(query, given)
        return [self._summary(row) for row in rows]

    def run(self, prefix: str) -> RunTrace:
        """Return a run by its id, its trace id, or the beginning of one.

        Raises:
            TelemetryError: if none or several begin so; the message lists the nearest ones.
        """
        self.mark_interrupted()
        root = self._find(prefix)
        run, trace_id, root_id = root[:3]
        rows = self._rows(_SPANS, {"trace": trace_id, "run": run})
        return RunTrace(self._summary(root), _tree(rows, root_id))

    def trace_id(self, prefix: str) -> str:
        """Return the trace id of a run; takes and raises what `run` does."""
        return self._find(prefix)[1]

    def span(self, trace_id: str, span_id: str) -> SpanNode | None:
        """Return one span without those below it; None if there is none."""
        rows = self._rows(_ONE_SPAN, {"trace": trace_id, "span": span_id})
        return _node(rows[0], ()) if rows else None

    def content(self, digest: str) -> str | None:
        """Return a whole text by its hash (`Text.hash`); None if there is none."""
        rows = self._rows("SELECT text FROM content WHERE hash = :digest", {"digest": digest})
        return rows[0][0] if rows else None

    def _rows(self, query: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, given).fetchall()
            except sqlite3.DatabaseError as error:
                raise TelemetryError(f"the trace store {self.path} can't be read: {error}") from error

    def _find(self, prefix: str) -> tuple[Any, ...]:
        roots = self._rows(_FOUND, {"prefix": prefix, "n": len(prefix)})
        exact = [root for root in roots if prefix in root[:2]]
        if prefix and len(exact or roots) == 1:
            return (exact or roots)[0]
        raise TelemetryError(self._not_one(prefix, [root[0] for root in exact or roots]))

    def _not_one(self, prefix: str, matches: Sequence[str]) -> str:
        if prefix and matches:
            listed = ", ".join(matches[:_SUGGESTED])
            return f"{len(matches)} runs begin with {prefix!r}: {listed}; give more of the id"
        known = [
            row[0] for row in self._rows("SELECT run FROM span WHERE root = 1 ORDER BY start_ns DESC LIMIT 500", {})
        ]
        if not known:
            return f"there is no run {prefix!r}: {self.path} holds no runs yet"
        nearest = difflib.get_close_matches(prefix, known, _SUGGESTED, cutoff=0.4) or known[:_SUGGESTED]
        return f"there is no run {prefix!r}; the nearest are {', '.join(nearest)}"

    def _summary(self, root: tuple[Any, ...]) -> RunSummary:
        run, trace_id, root_id, name, status, message, start_ns, end_ns, attributes = root
        sums = self._rows(_SUMS, {"run": run, "trace": trace_id, "closing": _CLOSING})[0]
        steps, spans, errors, calls, tokens_in, tokens_out, usd, unpriced, shed, cut, redacted, dropped = sums
        layers = self._rows(
            "SELECT layer FROM span WHERE run = :run AND layer IS NOT NULL GROUP BY layer ORDER BY min(start_ns)",
            {"run": run},
        )
        said = _loaded(attributes)
        return RunSummary(
            run_id=run,
            trace_id=trace_id,
            root_id=root_id,
            name=name,
            status=Status(status),
            message=message,
            session=_optional(said.get(names.SESSION)),
            task=_optional(said.get(names.INPUT)),
            answer=_optional(said.get(names.OUTPUT)),
            stop_reason=_optional(said.get(names.STOP_REASON)),
            start_ns=start_ns,
            end_ns=end_ns,
            steps=steps or 0,
            spans=spans,
            errors=errors or 0,
            layers=[row[0] for row in layers],
            cost=Cost(calls or 0, tokens_in or 0, tokens_out or 0, usd or 0.0, unpriced or 0),
            losses=Losses(dropped, shed or 0, cut or 0, redacted or 0),
        )


def _tree(rows: Sequence[tuple[Any, ...]], root_id: str) -> SpanNode:
    """Build the tree below a root, leaves first and without recursion: a run may nest deeper than Python's stack.

    Spans whose parent is missing (it was dropped, or lives in another store) hang on the root, or they would vanish.
    """
    present = {row[0] for row in rows}
    below: dict[str, list[tuple[Any, ...]]] = {}
    for row in rows:
        if row[0] != root_id:
            below.setdefault(row[1] if row[1] in present else root_id, []).append(row)
    order = [next(row for row in rows if row[0] == root_id)]
    for row in order:
        order.extend(below.get(row[0], ()))
    built: dict[str, SpanNode] = {}
    for row in reversed(order):
        built[row[0]] = _node(row, [built[child[0]] for child in below.get(row[0], ())])
    return built[root_id]


def _node(row: tuple[Any, ...], children: Sequence[SpanNode]) -> SpanNode:
    span_id, parent_id, kind, name, service, layer, status, message, start_ns, end_ns, *rest = row
    tokens_in, tokens_out, usd, attributes, events = rest
    return SpanNode(
        span_id=span_id,
        parent_id=parent_id,
        kind=own_kind(kind),
        name=name,
        service=service or "",
        layer=layer,
        status=Status(status),
        message=message,
        start_ns=start_ns,
        end_ns=end_ns,
        input_tokens=tokens_in or 0,
        output_tokens=tokens_out or 0,
        usd=usd,
        attributes=_loaded(attributes),
        events=[
            SpanEvent(event["name"], event["time_ns"], {k: _text(v) for k, v in event["attributes"].items()})
            for event in json.loads(events)
        ],
        children=children,
    )


def _loaded(attributes: str) -> dict[str, Any]:
    return {name: _text(value) for name, value in json.loads(attributes).items()}


def _text(value: Any) -> Any:
    if isinstance(value, dict) and CONTENT_KEY in value:
        return Text(value[CONTENT_KEY], value["length"], value["head"])  # pyright: ignore[reportUnknownArgumentType] - our own JSON
    return value


def _optional(value: Any) -> str | None:
    return None if value is None else str(value)
