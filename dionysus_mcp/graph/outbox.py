"""The outbox: changes that a mirror of the graph must still be told of, written with the changes themselves.

Only projects that have a mirror pay for it; it has what all users of a project told. A row is deleted once the mirror
has confirmed it, so what is told twice is what was confirmed just before a process died, and the mirror takes
everything twice.
"""

import secrets
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, literal, select, text

from dionysus_mcp.graph.tables import change, mention, mirror, relation
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.upserts import insert_new

_BATCH = 400


def tell(connection: Connection, scope: Scope, kind: str, refs: Sequence[str]) -> None:
    """Note changes for the mirror, where there is one."""
    if refs and graph_of(connection, scope) is not None:
        rows = [{"tenant": scope.tenant, "project": scope.project, "kind": kind, "ref": ref} for ref in refs]
        connection.execute(insert(change), rows)


def graph_of(connection: Connection, scope: Scope) -> str | None:
    """What this scope's graph is called in its mirror; None if it has none."""
    query = select(mirror.c.graph).where(mirror.c.tenant == scope.tenant, mirror.c.project == scope.project)
    return connection.execute(query).scalar()


def register(connection: Connection, scope: Scope) -> str:
    """Note from now on what changes in a scope; returns what its graph is called in the mirror."""
    if (known := graph_of(connection, scope)) is not None:
        return known
    if connection.dialect.name == "postgresql":
        # Whoever is writing now may not see the new row: wait for them, and hold others back until it is there.
        connection.execute(text("LOCK TABLE memory, graph_relation, graph_seen IN SHARE ROW EXCLUSIVE MODE"))
    row = {"tenant": scope.tenant, "project": scope.project, "graph": f"g-{secrets.token_hex(8)}"}
    connection.execute(insert_new(connection, mirror), [row])
    return graph_of(connection, scope) or row["graph"]


def tell_all(connection: Connection, scope: Scope) -> None:
    """Note all that there is, for a mirror that knows nothing."""
    connection.execute(delete(change).where(_mine(scope)))
    of = [literal(scope.tenant), literal(scope.project)]
    memory = schema.memory
    seen = select(*of, literal("memory"), memory.c.id).where(
        memory.c.tenant == scope.tenant,
        memory.c.project == scope.project,
        memory.c.seq.in_(
            select(mention.c.memory_seq).union(select(relation.c.memory_seq).where(relation.c.memory_seq.is_not(None)))
        ),
    )
    told = select(*of, literal("relation"), relation.c.id).where(
        relation.c.tenant == scope.tenant, relation.c.project == scope.project, relation.c.memory_seq.is_(None)
    )
    columns = ["tenant", "project", "kind", "ref"]
    connection.execute(insert(change).from_select(columns, seen.order_by(memory.c.seq)))
    connection.execute(insert(change).from_select(columns, told))


def take(connection: Connection, scope: Scope, count: int) -> list[tuple[int, str, str]]:
    """The oldest changes: number, kind and what they are about. They stay until `done`."""
    query = select(change.c.seq, change.c.kind, change.c.ref).where(_mine(scope)).order_by(change.c.seq).limit(count)
    return [(row.seq, row.kind, row.ref) for row in connection.execute(query)]


def done(connection: Connection, scope: Scope, seqs: Sequence[int]) -> None:
    """The mirror has them."""
    for start in range(0, len(seqs), _BATCH):
        connection.execute(delete(change).where(_mine(scope), change.c.seq.in_(seqs[start : start + _BATCH])))


def waiting(connection: Connection, scope: Scope) -> int:
    """How many changes the mirror must still be told of."""
    return connection.execute(select(func.count()).select_from(change).where(_mine(scope))).scalar_one()


def _mine(scope: Scope) -> ColumnElement[bool]:
    return and_(change.c.tenant == scope.tenant, change.c.project == scope.project)
