"""What several tests of the store ask of its file."""

import contextlib
import sqlite3


def structure(path):
    """Tables with their columns and foreign keys, indexes and triggers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: {row[1:] for row in connection.execute(f"PRAGMA table_info({name})")} for name in names}
        keys = {name: {row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")} for name in names}
        rest = set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type != 'table'"))
    return columns, keys, rest
