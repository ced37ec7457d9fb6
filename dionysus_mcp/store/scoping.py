"""The one place that says which rows a scope may read and which it may write. Every table with scopes goes through it.

A table with scopes has the columns `tenant`, `project`, `owner` (a user, or empty for what is shared) and
`session_id`. A condition that can't be told (null) is false in SQL, so what is in doubt is not seen.
"""

from typing import Any

from sqlalchemy import Column, ColumnElement, String, Table, and_, func

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope


def scope_columns(*, key: bool = False) -> "list[Column[Any]]":
    """The columns that a new table with scopes needs; as a part of its primary key, or not."""
    return [
        Column("tenant", String, primary_key=key, nullable=False),
        Column("project", String, primary_key=key, nullable=False),
        Column("owner", String, primary_key=key, nullable=False, server_default=""),
        Column("session_id", String, primary_key=key, nullable=False, server_default=""),
    ]


def scope_values(scope: Scope) -> dict[str, str]:
    """The values of those columns in a row that a scope writes."""
    return {"tenant": scope.tenant, "project": scope.project, "owner": scope.user, "session_id": scope.session}


def visible(table: Table, scope: Scope) -> ColumnElement[bool]:
    """The predicate for rows that a scope may read: its own, and what its project shares."""
    return and_(
        table.c.tenant == scope.tenant,
        table.c.project == scope.project,
        table.c.owner.in_(_owners(scope)),
        *_of_session(table, scope),
    )


def owned(table: Table, scope: Scope) -> ColumnElement[bool]:
    """The predicate for rows that a scope may write, export and purge: a user's own, or what is shared."""
    return and_(
        table.c.tenant == scope.tenant,
        table.c.project == scope.project,
        table.c.owner == scope.user,
        *_of_session(table, scope),
    )


def picked(table: Table, scope: Scope) -> ColumnElement[bool]:
    """`visible`, for rows that are picked by their numbers or ids.

    SQLite, which keeps no statistics, takes an index of the scope for better than some numbers, and then reads the
    whole scope. No index fits these expressions, so it takes the numbers.
    """
    return and_(
        func.coalesce(table.c.tenant, "") == scope.tenant,
        func.coalesce(table.c.project, "") == scope.project,
        func.coalesce(table.c.owner, "?").in_(_owners(scope)),
        *_of_session(table, scope),
    )


def visible_text(alias: str, scope: Scope) -> tuple[str, dict[str, object]]:
    """`visible` as SQL text for a table of this name, with the values to bind."""
    conditions = [f"{alias}.tenant = :tenant", f"{alias}.project = :project", f"{alias}.owner IN ('', :owner)"]
    values: dict[str, object] = {"tenant": scope.tenant, "project": scope.project, "owner": scope.user}
    if scope.session:
        conditions.append(f"{alias}.session_id = :of_session")
        values["of_session"] = scope.session
    return " AND ".join(conditions), values


def refuse_shared(owner: str, scope: Scope, what: str) -> None:
    """Refuse to change what a scope may only read.

    Raises:
        MemoryStoreError: if the row isn't the scope's own.
    """
    if owner != scope.user:
        raise MemoryStoreError(
            f"{what} is shared by the whole project; the user {scope.user!r} may read it and not change it. Store "
            "your own, or change it without a user."
        )


def _owners(scope: Scope) -> list[str]:
    return sorted({"", scope.user})


def _of_session(table: Table, scope: Scope) -> list[ColumnElement[bool]]:
    return [table.c.session_id == scope.session] if scope.session else []
