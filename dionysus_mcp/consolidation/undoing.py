"""Taking back what a run did, the last action first; what was changed by others since stays as they left it.

A memory that was superseded comes back as a new version of it, as `restore_memory` does: the time between stays visible
to a recall of the past, and caches of other processes learn of it.
"""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from dionysus_mcp.consolidation.lease import Lease
from dionysus_mcp.consolidation.reading import own
from dionysus_mcp.consolidation.strengths import Strength, known, put
from dionysus_mcp.consolidation.tables import action, link, run
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import close_in, insert_in
from dionysus_mcp.store.versions import of_lineage

memory = schema.memory
_AT_ONCE = 50


def undo(store: Store, run_id: str, lease: Lease, report: Callable[[int, int], None]) -> list[tuple[int, str]]:
    """Take back what a run did and nobody changed since; doing it again takes back what is left.

    Returns:
        Numbers of actions that stay done, each with the reason.
    """
    kept: list[tuple[int, str]] = []
    with store.read() as connection:
        query = select(action).where(action.c.run_id == run_id, action.c.undone_at.is_(None))
        rows = connection.execute(query.order_by(action.c.seq.desc())).all()
    for start in range(0, len(rows), _AT_ONCE):
        lease.renew()
        part = rows[start : start + _AT_ONCE]
        kept += store.write(lambda connection, part=part: _some(connection, store.scope, part))
        report(min(start + _AT_ONCE, len(rows)), len(rows))
    now = datetime.now(UTC)
    store.write(lambda connection: connection.execute(update(run).where(run.c.id == run_id).values(undone_at=now)))
    return kept


def _some(connection: Connection, scope: Scope, rows: Sequence[Row[Any]]) -> list[tuple[int, str]]:
    now = datetime.now(UTC)
    kept: list[tuple[int, str]] = []
    for row in rows:
        mine = action.c.seq == row.seq
        if connection.execute(select(action.c.undone_at).where(mine)).scalar() is not None:
            continue  # by another process, between reading and this transaction
        restored, reason = _UNDO[row.kind](connection, scope, row, now)
        values = {"kept": reason} if reason else {"undone_at": now, "restored_seq": restored, "kept": None}
        connection.execute(update(action).where(mine).values(values))
        if reason:
            kept.append((row.seq, reason))
    return kept


Undone = tuple[int | None, str | None]
"""The number of what was made, and why nothing was undone."""


def _superseded(connection: Connection, scope: Scope, row: Row[Any], now: datetime) -> Undone:
    seq, reason = _again(connection, scope, row.memory_seq, now)
    if seq is not None:
        pair = (link.c.from_seq == row.memory_seq) & (link.c.to_seq == row.other_seq)
        connection.execute(delete(link).where(link.c.kind == "duplicate", pair))
    return seq, reason


def _retired(connection: Connection, scope: Scope, row: Row[Any], now: datetime) -> Undone:
    return _again(connection, scope, row.memory_seq, now)


def _linked(connection: Connection, _scope: Scope, row: Row[Any], _now: datetime) -> Undone:
    pair = (link.c.from_seq == row.memory_seq) & (link.c.to_seq == row.other_seq)
    connection.execute(delete(link).where(link.c.kind == "similar", pair))
    return None, None


def _drawn(connection: Connection, scope: Scope, row: Row[Any], now: datetime) -> Undone:
    made = connection.execute(select(memory).where(own(scope), memory.c.seq == row.memory_seq)).one()
    if made.recorded_to is not None:
        return None, f"{made.id} was {made.ending} since"
    close_in(connection, [made.seq], "forgotten", f"the consolidation {row.run_id} was undone", now)
    return None, None


def _faded(connection: Connection, _scope: Scope, row: Row[Any], _now: datetime) -> Undone:
    held = known(connection, row.memory_seq)
    if held is None or held.band != row.after:
        return None, "it was recalled or rated since"
    if held.recalls:
        put(connection, row.memory_seq, Strength(held.recalls, held.recalled_at, held.stability, row.before))
    else:
        _forget_or_rate(connection, row, held)
    return None, None


def _forget_or_rate(connection: Connection, row: Row[Any], held: Strength) -> None:
    """Where nothing but the band is known, "strong" is what is known without a row."""
    from dionysus_mcp.consolidation.tables import strength

    if row.before == "strong":
        connection.execute(delete(strength).where(strength.c.memory_seq == row.memory_seq))
    else:
        put(connection, row.memory_seq, Strength(0, None, held.stability, row.before))


def _again(connection: Connection, scope: Scope, seq: int, now: datetime) -> Undone:
    """Believe an ended memory again, as a new version of it."""
    old = connection.execute(select(memory).where(own(scope), memory.c.seq == seq)).one()
    current = memory.c.recorded_to.is_(None)
    later = connection.execute(select(memory.c.id).where(own(scope), of_lineage(old), current)).first()
    twin = connection.execute(select(memory.c.id).where(own(scope), current, memory.c.hash == old.hash)).first()
    if later is not None or twin is not None:
        return None, f"{(later or twin).id} says it already" if twin else f"{later.id} is a later version of it"  # pyright: ignore[reportOptionalMemberAccess]
    values = {column.name: getattr(old, column.name) for column in memory.c if column.name != "seq"}
    values |= {"id": f"m-{secrets.token_hex(8)}", "lineage": old.lineage or old.id, "recorded_from": now}
    values |= {"recorded_to": None, "ending": None, "ending_reason": None}
    insert_in(connection, [values])
    made = connection.execute(select(memory.c.seq).where(memory.c.id == values["id"])).scalar_one()
    _carry_over(connection, seq, made)
    return made, None


def _carry_over(connection: Connection, old: int, new: int) -> None:
    """What is known of a memory goes on with its new version."""
    held = known(connection, old)
    if held is not None:
        put(connection, new, held)
    for row in connection.execute(select(link).where(link.c.from_seq == old, link.c.kind == "extract")).all():
        values = {"kind": row.kind, "from_seq": new, "to_seq": row.to_seq, "start": row.start, "stop": row.stop}
        connection.execute(insert(link), values)


_UNDO = {"supersede": _superseded, "retire": _retired, "link": _linked, "extract": _drawn, "fade": _faded}
