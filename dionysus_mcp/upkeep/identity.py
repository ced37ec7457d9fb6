"""What the things of an export are called in the scope that takes them in."""

import hashlib
from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, Table, select

from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.scoping import owned

_BATCH = 400


def own_ids(connection: Connection, scope: Scope, table: Table, ids: Collection[str]) -> dict[str, str]:
    """The id that each has in this scope: its own, unless it is another scope's of the same store.

    Then it is made of the id and the scope, so that the same import again finds what the first one stored.
    """
    foreign: set[str] = set()
    listed = sorted(ids)
    for start in range(0, len(listed), _BATCH):
        query = select(table.c.id).where(table.c.id.in_(listed[start : start + _BATCH]), ~_mine(table, scope))
        foreign.update(connection.execute(query).scalars())
    named = (("user", scope.user), ("session", scope.session))
    whose = [scope.tenant, scope.project, *(pair for pair in named if pair[1])]
    return {
        one: f"{one[:2]}{hashlib.sha256(repr((*whose, one)).encode()).hexdigest()[:16]}" if one in foreign else one
        for one in listed
    }


def _mine(table: Table, scope: Scope) -> ColumnElement[bool]:
    if table is schema.memory:
        return owned(table, scope)
    model = schema.mental_model
    mine = owned(model, scope)
    return mine if table is model else table.c.model_id.in_(select(model.c.id).where(mine))
