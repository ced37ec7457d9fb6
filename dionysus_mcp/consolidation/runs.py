"""The log of runs: what each did, with the memories as they are named now. Reads only."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from dionysus_mcp.consolidation.actions import Action, Extract, Fade, Link, Quote, Retire, Run, Supersede
from dionysus_mcp.consolidation.facts import differing
from dionysus_mcp.consolidation.reading import own
from dionysus_mcp.consolidation.tables import action, link, run
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import scope_values

memory = schema.memory


def runs(store: Store) -> list[Run]:
    """The runs of a scope, the latest first; also those that found nothing to do."""
    mine = _own(store.scope)
    with store.read() as connection:
        rows = connection.execute(select(run).where(mine).order_by(run.c.started_at.desc(), run.c.id)).all()
        return _told(connection, rows)


def one_run(store: Store, run_id: str) -> Run:
    """One run of a scope.

    Raises:
        MemoryStoreError: if the scope has no such run.
    """
    found = next((one for one in runs(store) if one.id == run_id), None)
    if found is None:
        raise MemoryStoreError(
            f"{store.scope} has no consolidation run {run_id!r}; `dionysus memory consolidate --list` names them."
        )
    return found


def last_seen(store: Store) -> int:
    """How much was in the store when its last finished run was planned; 0 without one."""
    mine = _own(store.scope)
    with store.read() as connection:
        return connection.execute(select(func.max(run.c.seen)).where(mine, run.c.ended_at.is_not(None))).scalar() or 0


def actions_of(store: Store, run_id: str) -> list[Action]:
    """What a run did and was not taken back, in order; what was purged since is left out.

    Raises:
        MemoryStoreError: if the scope has no such run.
    """
    one_run(store, run_id)
    with store.read() as connection:
        query = select(action).where(action.c.run_id == run_id, action.c.undone_at.is_(None)).order_by(action.c.seq)
        rows = connection.execute(query).all()
        wanted = {seq for row in rows for seq in (row.memory_seq, row.other_seq) if seq is not None}
        held = _memories(connection, store.scope, wanted)
        return [_action(connection, row, held) for row in rows if row.memory_seq in held]


def _own(scope: Scope) -> ColumnElement[bool]:
    """The predicate for runs of just this scope: what a session did is not its project's to take back."""
    return and_(*(run.c[name] == value for name, value in scope_values(scope).items()))


def _told(connection: Connection, rows: Iterable[Row[Any]]) -> list[Run]:
    counted = select(action.c.run_id, action.c.kind, func.count(), func.count(action.c.undone_at)).group_by(
        action.c.run_id, action.c.kind
    )
    done: dict[str, dict[str, int]] = {}
    undone: dict[str, int] = {}
    for run_id, kind, count, back in connection.execute(counted):
        done.setdefault(run_id, {})[kind] = count
        undone[run_id] = undone.get(run_id, 0) + back
    return [
        Run(
            id=row.id,
            started_at=row.started_at,
            ended_at=row.ended_at,
            undone_at=row.undone_at,
            status="undone" if row.undone_at else "done" if row.ended_at else "interrupted",
            done=done.get(row.id, {}),
            undone=undone.get(row.id, 0),
        )
        for row in rows
    ]


def _memories(connection: Connection, scope: Scope, seqs: Iterable[int]) -> dict[int, Row[Any]]:
    found: dict[int, Row[Any]] = {}
    wanted = sorted(seqs)
    for start in range(0, len(wanted), 400):
        query = select(memory).where(own(scope), memory.c.seq.in_(wanted[start : start + 400]))
        found |= {row.seq: row for row in connection.execute(query)}
    return found


def _action(connection: Connection, row: Row[Any], held: dict[int, Row[Any]]) -> Action:
    one, other = held[row.memory_seq], held.get(row.other_seq)
    named: dict[str, Any] = {"memory_id": one.id, "content": one.content}
    if row.kind == "extract":
        return Extract(**named, speaker=one.speaker, sources=_quotes(connection, one.seq), method=_method(one))
    if row.kind == "retire":
        return Retire(**named, lost=[])
    if row.kind == "fade":
        return Fade(**named, retention=None, before=row.before, after=row.after)
    if other is None:  # the row goes with the other memory, so it is there
        raise AssertionError(row)  # pragma: no cover
    words = differing(one.content, other.content)
    if row.kind == "link":
        return Link(**named, other_id=other.id, other=other.content, similarity=row.similarity or 0.0, differing=words)
    return Supersede(**named, survivor_id=other.id, survivor=other.content, similarity=row.similarity, differing=words)


def _quotes(connection: Connection, seq: int) -> list[Quote]:
    query = (
        select(memory.c.id, memory.c.content, memory.c.occurred_at, link.c.start, link.c.stop)
        .join_from(link, memory, memory.c.seq == link.c.to_seq)
        .where(link.c.from_seq == seq, link.c.kind == "extract")
        .order_by(memory.c.seq)
    )
    return [
        Quote(
            memory_id=row.id,
            text=row.content[row.start : row.stop],
            start=row.start,
            stop=row.stop,
            occurred_at=row.occurred_at,
        )
        for row in connection.execute(query)
    ]


def _method(row: Row[Any]) -> Any:
    return "model" if row.metadata.get("method") == "model" else "quote"
