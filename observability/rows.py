"""How span records become rows, and how rows of a vanished process are closed. Plain SQL on a given connection."""

import hashlib
import json
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from observability import conventions as names
from observability.conventions import Kind, is_content
from observability.owner import Owner
from observability.records import SpanRecord, Status

CONTENT_KEY: Final = "$content"
_INLINE: Final = 256
"""Characters up to which a text stays in its row; longer ones go to `content`, once each, and leave their beginning."""

_INSERT: Final = """INSERT {instead} INTO span VALUES (
    :trace_id, :span_id, :parent_id, :run, :root, :process, :kind, :otel_kind, :scope, :name, :layer, :status, :message,
    :start_ns, :end_ns, :input_tokens, :output_tokens, :usd, :attributes, :events, :truncated, :redacted, :shed)
    {on_conflict}"""
# A beginning that comes after its end (two threads) must not undo it; one that comes again has more to say.
_BEGIN: Final = _INSERT.format(
    instead="", on_conflict="ON CONFLICT DO UPDATE SET attributes = excluded.attributes WHERE status = 'running'"
)
_END: Final = _INSERT.format(instead="OR REPLACE", on_conflict="")


def open_process(connection: sqlite3.Connection, owner: Owner, service: str, now_ns: int) -> None:
    """Note that a process writes from now on."""
    connection.execute(
        "INSERT OR REPLACE INTO process VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        (owner.id, service, owner.host, owner.boot, owner.namespace, owner.pid, owner.started, now_ns),
    )


def close_process(connection: sqlite3.Connection, process: str, now_ns: int) -> None:
    """Note that a process writes no more; a span that it still has open will never end."""
    with _transaction(connection):
        connection.execute("UPDATE process SET closed_ns = ? WHERE id = ?", (now_ns, process))
        _interrupt_spans(connection, process)


def interrupt(connection: sqlite3.Connection, here: Owner) -> int:
    """Mark the running spans of processes that are gone as interrupted; return how many processes that were."""
    rows = connection.execute(
        "SELECT id, host, boot, namespace, pid, started, closed_ns FROM process"
        " WHERE id IN (SELECT DISTINCT process FROM span WHERE status = 'running')"
    ).fetchall()
    gone = [row[0] for row in rows if row[6] is not None or Owner(*row[:6]).gone(here)]
    if gone:
        with _transaction(connection):
            for process in gone:
                _interrupt_spans(connection, process)
    return len(gone)


def write(
    connection: sqlite3.Connection, process: str, batch: Sequence[SpanRecord], dropped: Mapping[str, int]
) -> None:
    """Write records in one transaction. Of a span that began and ended within the batch, only the end is written."""
    ended = {record.key: record for record in batch if record.end_ns is not None}
    begun = {record.key: record for record in batch if record.end_ns is None and record.key not in ended}
    texts: dict[str, str] = {}
    with _transaction(connection):
        connection.executemany(_BEGIN, [_row(r, process, texts) for r in begun.values()])
        connection.executemany(_END, [_row(r, process, texts) for r in ended.values()])
        connection.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", texts.items())
        connection.executemany(
            "INSERT INTO loss VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET dropped = dropped + excluded.dropped",
            [(run, process, count) for run, count in dropped.items()],
        )


def run_of(record: SpanRecord) -> str:
    """Return the run that a span belongs to; a trace without a run of ours is a run by itself."""
    return str(record.attributes.get(names.RUN_ID) or record.trace_id)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # a full disk has already rolled it back
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _interrupt_spans(connection: sqlite3.Connection, process: str) -> None:
    """A span's end is then the last sign of life of its process, so that a bar in a view has a length."""
    connection.execute(
        "UPDATE span SET status = :interrupted, end_ns ="
        " (SELECT max(max(start_ns), coalesce(max(end_ns), 0)) FROM span WHERE process = :process)"
        " WHERE process = :process AND status = 'running'",
        {"process": process, "interrupted": Status.INTERRUPTED.value},
    )


def _row(record: SpanRecord, process: str, texts: dict[str, str]) -> dict[str, Any]:
    attributes = record.attributes
    served = record.otel_kind in ("SERVER", "CLIENT", "CONSUMER", "PRODUCER")
    return {
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "parent_id": record.parent_id,
        "run": run_of(record),
        # a request that came from outside any run is not a run, or a memory server would fill the list with them
        "root": record.kind is Kind.RUN or (record.parent_id is None and not served),
        "process": process,
        "kind": record.kind,
        "otel_kind": record.otel_kind,
        "scope": record.scope,
        "name": record.name,
        "layer": _text(attributes.get(names.LAYER)),
        "status": record.status,
        "message": record.message,
        "start_ns": record.start_ns,
        "end_ns": record.end_ns,
        "input_tokens": _number(attributes, names.INPUT_TOKENS, names.LLM_TOKENS_PROMPT),
        "output_tokens": _number(attributes, names.OUTPUT_TOKENS, names.LLM_TOKENS_COMPLETION),
        "usd": _number(attributes, names.COST, names.LLM_COST),
        "attributes": json.dumps({name: _stored(name, value, texts) for name, value in attributes.items()}),
        "events": json.dumps(
            [
                {
                    "name": event.name,
                    "time_ns": event.time_ns,
                    "attributes": {k: _stored(k, v, texts) for k, v in event.attributes.items()},
                }
                for event in record.events
            ]
        ),
        "truncated": record.truncated,
        "redacted": record.redacted,
        "shed": record.shed,
    }


def _stored(name: str, value: Any, texts: dict[str, str]) -> Any:
    if not isinstance(value, str) or len(value) <= _INLINE or not is_content(name):
        return value
    digest = hashlib.blake2b(value.encode(), digest_size=16).hexdigest()
    texts[digest] = value
    return {CONTENT_KEY: digest, "length": len(value), "head": value[:_INLINE]}


def _number(attributes: Mapping[str, Any], *candidates: str) -> int | float | None:
    for name in candidates:
        value = attributes.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    return None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
