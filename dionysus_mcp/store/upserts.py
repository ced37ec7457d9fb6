"""Inserts that meet rows which are there already. The databases say it alike, but SQLAlchemy has it for each apart."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table) -> Insert:
    """An insert that leaves rows as they are whose key is there, by any unique key."""
    # Without the option, what PostgreSQL says of how many were made is not kept.
    return _insert(connection, table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


def insert_or_update(connection: Connection, table: Table, keys: Sequence[str], values: Mapping[str, Any]) -> Insert:
    """An insert that sets these values of the row with the same keys, where there is one."""
    return _insert(connection, table).on_conflict_do_update(index_elements=list(keys), set_=dict(values))


def _insert(connection: Connection, table: Table) -> "postgresql.Insert | sqlite.Insert":
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
