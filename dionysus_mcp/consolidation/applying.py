"""Doing what a plan says: a few actions a transaction, each looked at again first and recorded with what it did.

Killed between two transactions, all that was done is in the log, and the rest is found again by the next plan.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import singledispatch
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from dionysus_mcp.consolidation.actions import Action, Extract, Fade, Link, Plan, Retire, Skipped, Supersede
from dionysus_mcp.consolidation.following import EXTRACTED
from dionysus_mcp.consolidation.lease import Lease
from dionysus_mcp.consolidation.reading import own
from dionysus_mcp.consolidation.strengths import Strength, known, put, unrecalled
from dionysus_mcp.consolidation.tables import action, link, run
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, close_in, insert_in, row_for, within
from dionysus_mcp.store.scoping import scope_values

memory = schema.memory
AT_ONCE = 50
"""Actions of one transaction: other writers wait for some hundredths of a second."""


class _Stale(Exception):
    """The store changed since the plan was made; the message says how."""


class _Doing:
    """One transaction of a run."""

    def __init__(self, connection: Connection, scope: Scope, run_id: str, now: datetime) -> None:
        self.connection = connection
        self.scope = scope
        self.run_id = run_id
        self.now = now

    def current(self, memory_id: str) -> Row[Any]:
        query = select(memory).where(own(self.scope), memory.c.id == memory_id)
        row = self.connection.execute(query).first()
        if row is None:
            raise _Stale(f"{memory_id} is gone")
        if row.recorded_to is not None:
            raise _Stale(f"{memory_id} was {row.ending or 'superseded'} meanwhile")
        return row

    def record(self, kind: str, row: Row[Any], other: Row[Any] | None = None, **rest: Any) -> None:
        values = {"run_id": self.run_id, "kind": kind, "memory_seq": row.seq, "hash": row.hash}
        if other is not None:
            values |= {"other_seq": other.seq, "other_hash": other.hash}
        self.connection.execute(insert(action), values | rest)

    def link(self, kind: str, row: Row[Any], other: Row[Any], **rest: Any) -> None:
        pair = (link.c.kind == kind) & (link.c.from_seq == row.seq) & (link.c.to_seq == other.seq)
        if self.connection.execute(select(link.c.kind).where(pair)).first() is not None:
            raise _Stale(f"{row.id} and {other.id} are linked already")
        self.connection.execute(insert(link), {"kind": kind, "from_seq": row.seq, "to_seq": other.seq, **rest})


def apply(store: Store, plan: Plan, lease: Lease, report: Callable[[int, int], None]) -> tuple[str, list[Skipped]]:
    """Do what a plan says; returns the id of the run, and what the store no longer allowed.

    Args:
        store: Of the plan's scope.
        plan: What is to be done.
        lease: Held by the caller.
        report: Told how many actions are done, of how many.

    Raises:
        MemoryStoreError: if the store can't be written; what was done until then is in the log.
    """
    run_id = f"c-{secrets.token_hex(5)}"
    values = {"id": run_id, "started_at": datetime.now(UTC), "seen": plan.seen, **scope_values(store.scope)}
    store.write(lambda connection: _begin(connection, values))
    skipped: list[Skipped] = []
    for start in range(0, len(plan.actions), AT_ONCE):
        lease.renew()
        part = plan.actions[start : start + AT_ONCE]
        skipped += store.write(lambda connection, part=part: _some(_of(store, connection, run_id), part))
        report(min(start + AT_ONCE, len(plan.actions)), len(plan.actions))
    store.write(lambda connection: _end(connection, run_id))
    return run_id, skipped


def _begin(connection: Connection, values: dict[str, Any]) -> None:
    # A connection may be lost after it was stored, and then this runs again.
    if connection.execute(select(run.c.id).where(run.c.id == values["id"])).first() is None:
        connection.execute(insert(run), values)


def _of(store: Store, connection: Connection, run_id: str) -> _Doing:
    return _Doing(connection, store.scope, run_id, datetime.now(UTC))


def _some(doing: _Doing, actions: Sequence[Action]) -> list[Skipped]:
    skipped: list[Skipped] = []
    for one in actions:
        try:
            _do(one, doing)
        except _Stale as stale:  # raised before anything is written for this action
            skipped.append(Skipped(action=one, reason=str(stale)))
    return skipped


def _end(connection: Connection, run_id: str) -> None:
    connection.execute(update(run).where(run.c.id == run_id).values(ended_at=datetime.now(UTC)))


@singledispatch
def _do(one: object, doing: _Doing) -> None:
    raise NotImplementedError(type(one))


@_do.register
def _supersede(one: Supersede, doing: _Doing) -> None:
    row, survivor = doing.current(one.memory_id), doing.current(one.survivor_id)
    doing.link("duplicate", row, survivor, similarity=one.similarity)
    reason = f"{survivor.id} says the same; `dionysus memory consolidate --undo {doing.run_id}` brings it back"
    close_in(doing.connection, [row.seq], "superseded", reason, doing.now)
    doing.record("supersede", row, survivor, similarity=one.similarity)


@_do.register
def _link(one: Link, doing: _Doing) -> None:
    row, other = doing.current(one.memory_id), doing.current(one.other_id)
    doing.link("similar", row, other, similarity=one.similarity)
    doing.record("link", row, other, similarity=one.similarity)


@_do.register
def _extract(one: Extract, doing: _Doing) -> None:
    sources = [doing.current(quote.memory_id) for quote in one.sources]
    drawn = NewMemory(
        content=one.content,
        memory_type="semantic",
        importance=max(row.importance for row in sources),
        metadata={"drawn_from": [row.id for row in sources], "method": one.method},
        speaker=one.speaker,
        source=EXTRACTED,
        occurred_at=max((row.occurred_at for row in sources if row.occurred_at is not None), default=None),
    )
    new = within(doing.scope, drawn)
    present = select(memory.c.id).where(own(doing.scope), memory.c.recorded_to.is_(None), memory.c.hash == new.hash)
    twin = doing.connection.execute(present).first()
    if twin is not None:
        raise _Stale(f"{twin.id} says it already")
    values = row_for(new, doing.scope, doing.now)
    insert_in(doing.connection, [values])
    made = doing.current(values["id"])
    for quote, row in zip(one.sources, sources, strict=True):
        doing.link("extract", made, row, start=quote.start, stop=quote.stop)
    doing.record("extract", made)


@_do.register
def _retire(one: Retire, doing: _Doing) -> None:
    row = doing.current(one.memory_id)
    close_in(doing.connection, [row.seq], "superseded", "what it was drawn from is no longer believed", doing.now)
    doing.record("retire", row)


@_do.register
def _fade(one: Fade, doing: _Doing) -> None:
    row = doing.current(one.memory_id)
    before = known(doing.connection, row.seq) or unrecalled(row.importance)
    if before.band != one.before:
        raise _Stale(f"{one.memory_id} was recalled or rated meanwhile")
    put(doing.connection, row.seq, Strength(before.recalls, before.recalled_at, before.stability, one.after))
    doing.record("fade", row, before=one.before, after=one.after)
