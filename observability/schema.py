"""The trace store's file: its tables, and how it is made, recognised and opened.

One SQLite file in WAL mode that several processes write and read at once. `application_id` says that it is ours,
`user_version` which version its tables have.
"""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from observability.errors import TelemetryError

APPLICATION_ID = 0x44494F54  # "DIOT"
VERSION = 1
BUSY_SECONDS = 5.0

_TABLES = """
CREATE TABLE process (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL, namespace TEXT NOT NULL,
    pid INTEGER NOT NULL, started TEXT NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER
) WITHOUT ROWID;
CREATE TABLE span (
    trace_id TEXT NOT NULL, span_id TEXT NOT NULL, parent_id TEXT, run TEXT NOT NULL, root INTEGER NOT NULL,
    process TEXT NOT NULL, kind TEXT, otel_kind TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, layer TEXT,
    status TEXT NOT NULL, message TEXT, start_ns INTEGER NOT NULL, end_ns INTEGER,
    input_tokens INTEGER, output_tokens INTEGER, usd REAL,
    attributes TEXT NOT NULL, events TEXT NOT NULL,
    truncated INTEGER NOT NULL, redacted INTEGER NOT NULL, shed INTEGER NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX span_run ON span (run);
CREATE INDEX span_root ON span (start_ns) WHERE root = 1;
CREATE INDEX span_running ON span (process) WHERE status = 'running';
CREATE TABLE content (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE loss (run TEXT, process TEXT, dropped INTEGER NOT NULL, PRIMARY KEY (run, process)) WITHOUT ROWID;
"""


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the store, and make it where there is none: the file with mode 0600, a new folder with 0700.

    Raises:
        TelemetryError: if the file is not a trace store, is a newer one, or can't be opened.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # Only where there is no file yet: closing a descriptor of an open database drops this process's locks on
            # it, and another process could then take its log away.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = _connect(path)
    except (OSError, sqlite3.Error) as error:
        raise TelemetryError(
            f"the trace store {path} can't be opened for writing: {error}; set another [trace] path"
        ) from error
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an existing store. It is opened for writing too, since only so can runs of a crashed process be closed.

    Raises:
        TelemetryError: if there is no such file, or it is not a trace store, or a newer one.
    """
    if not path.is_file():
        raise TelemetryError(f"there is no trace store at {path} yet; think about something first, or set [trace] path")
    try:
        connection = _connect(path)
    except sqlite3.Error as error:
        raise TelemetryError(f"the trace store {path} can't be opened: {error}; check its permissions") from error
    try:
        version = _version(connection, path)
    except BaseException:
        connection.close()
        raise
    if version == 0:
        connection.close()
        raise TelemetryError(f"{path} is empty and holds no traces yet; think about something first")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables, 0 for an empty file, without changing anything in a file that is not ours."""
    try:
        # One statement, so one snapshot: between two, another process may make the tables.
        application, version, tables = connection.execute(
            "SELECT (SELECT application_id FROM pragma_application_id), "
            "(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"
        ).fetchone()
    except sqlite3.DatabaseError as error:
        raise TelemetryError(f"{path} is not a trace store ({error}); set another [trace] path") from error
    if application != APPLICATION_ID and (application or version or tables):
        raise TelemetryError(f"{path} is another program's database, not a trace store; set another [trace] path")
    if version > VERSION:
        raise TelemetryError(
            f"{path} was written by a newer Dionysus (trace version {version}, this one reads {VERSION}); "
            "upgrade Dionysus, or set another [trace] path"
        )
    return version


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    fresh = _version(connection, path) == 0
    connection.execute("PRAGMA synchronous = NORMAL")  # lasts for the connection; a killed process loses nothing by it
    if not fresh:
        return
    try:
        _use_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection, path) == 0:  # another process may have been first
            for statement in filter(str.strip, _TABLES.split(";\n")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise TelemetryError(f"the trace store {path} can't be made: {error}; set another [trace] path") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL, in a loop: SQLite's busy timeout doesn't cover the switch, and two processes may begin at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
