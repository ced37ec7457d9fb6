"""A store in a SQLite file, and its transactions: many processes write at once, and nobody sees `database is locked`.

WAL lets readers read while one writes. A write takes the lock when it begins (BEGIN IMMEDIATE) and waits for it:
a transaction that starts by reading and then writes may be refused without waiting.
"""

import contextlib
import os
import random
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, text

from dionysus_mcp.errors import MemoryStoreError, NoStoreYet
from dionysus_mcp.scope import Scope
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.migration import create, upgrade
from dionysus_mcp.store.preflight import APPLICATION_ID, SCHEMA_VERSION, check_identity, database_path, is_new

ATTEMPTS = 6
"""Tries of one write, each waiting up to `busy_timeout` for the lock, with a pause of random length between them."""


class SqliteDatabase:
    """One file. Thread-safe; several processes may have it open.

    Args:
        settings: The address, and how long to wait for another process's write.
        make: Whether to make the file where there is none.

    Attributes:
        path: The file; `name` says it in words.
        attempts: Tries of one write, each waiting up to `busy_timeout` for the lock.

    Raises:
        MemoryStoreError: if the address is not SQLite's, the file is not ours, newer, or can't be made.
        NoStoreYet: if there is none, and none is to be made.
    """

    attempts = ATTEMPTS
    pause = 0.02

    def __init__(self, settings: MemorySettings, *, make: bool = True) -> None:
        self.path = database_path(settings.url)
        if is_new(self.path):
            if not make:
                raise NoStoreYet(str(self.path))
            _create_private(self.path)
        self.name = str(self.path)
        self._engine = _engine(self.path, settings.busy_timeout)
        self._writing = self._engine.execution_options(takes_write_lock=True)
        self._one_writer = threading.Lock()
        try:
            self._write_ahead()
            self._prepare()
        except BaseException:
            self._engine.dispose()
            raise

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection]:
        """A transaction that reads one state of the file."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, scope: Scope | None = None, *, alone: bool = True) -> Generator[Connection]:
        """A transaction that has the file's write lock, whatever the scope: SQLite has one for all."""
        with self._one_writer, self._writing.begin() as connection:
            yield connection

    def may_pass(self, error: exc.DBAPIError) -> bool:
        """Whether another process held the lock."""
        return getattr(error.orig, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))

    def explained(self, error: exc.DBAPIError) -> MemoryStoreError:
        """What SQLite refused."""
        return MemoryStoreError(
            f"The memory store {self.path} refused: {error.orig}. Check free space, the file's rights, and that no "
            "other program holds it locked."
        )

    @contextlib.contextmanager
    def alone(self) -> Generator[sqlite3.Connection]:
        """A plain connection outside of transactions, while no other thread of this process writes.

        For what SQLite does with a file as a whole: checking it, copying it, making it anew.
        """
        with self._one_writer:
            raw = self._engine.raw_connection()
            try:
                yield cast("sqlite3.Connection", raw.driver_connection)
            finally:
                # Settings of the connection, and what it has locked, must not come back from the pool.
                raw.invalidate()

    @contextlib.contextmanager
    def snapshot(self) -> Generator[sqlite3.Connection]:
        """A plain connection that sees one state of the store, whatever others write meanwhile."""
        raw = self._engine.raw_connection()
        try:
            connection = cast("sqlite3.Connection", raw.driver_connection)
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master")  # the state is that of the first read
            yield connection
        finally:
            raw.invalidate()

    def size(self) -> int:
        """Bytes on disk, with what is not yet merged into the main file."""
        files = (Path(f"{self.path}{end}") for end in ("", "-wal", "-shm"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _prepare(self) -> None:
        """Make the tables where there are none. Two processes may come here at once: the lock lets one do it."""
        for attempt in range(ATTEMPTS):
            try:
                with self.writing() as connection:
                    return self._create_or_check(connection)
            except exc.DBAPIError as error:
                if attempt == ATTEMPTS - 1 or not self.may_pass(error):
                    raise self.explained(error) from error
            time.sleep(random.uniform(0.0, self.pause * 2**attempt))  # noqa: S311 -- no secret
        return None

    def _write_ahead(self) -> None:
        for attempt in range(ATTEMPTS):
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode=WAL")
            except Exception as error:
                # Changing the mode doesn't wait for a lock; another process is most likely doing the same.
                if attempt == ATTEMPTS - 1:
                    raise MemoryStoreError(
                        f"The memory store {self.path} can't be opened for writing: {error}"
                    ) from error
            else:
                return
            finally:
                raw.close()
            time.sleep(random.uniform(0.01, 0.05 * 2**attempt))  # noqa: S311 -- no secret

    def _create_or_check(self, connection: Connection) -> None:
        application = connection.execute(text("PRAGMA application_id")).scalar_one()
        version = connection.execute(text("PRAGMA user_version")).scalar_one()
        tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one()
        check_identity(self.path, application, version, tables)
        if version == SCHEMA_VERSION:
            return
        if application == APPLICATION_ID:
            upgrade(connection, version)
        else:
            create(connection)
            for statement in (*schema.TEXT_INDEX, *schema.CLOSURES):
                connection.execute(statement)
        connection.execute(text(f"PRAGMA application_id={APPLICATION_ID}"))
        connection.execute(text(f"PRAGMA user_version={SCHEMA_VERSION}"))


def _create_private(path: Path) -> None:
    """Make an empty file that only its owner can read; SQLite gives its side files the same rights."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            # Only where there is no file yet: closing a descriptor of an open database drops this process's locks on
            # it, and another process could then take its log away.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise MemoryStoreError(
            f"The memory store {path} can't be made: {error.strerror}. Choose a folder that you may write to."
        ) from error


def _engine(path: Path, busy_timeout: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": busy_timeout, "check_same_thread": False},
    )

    def connected(connection: Any, _record: Any) -> None:
        # sqlite3 would begin transactions by its own rules; `begun` does it by ours.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        # What was stored is on disk when the caller hears so, also after a power cut.
        connection.execute("PRAGMA synchronous=FULL")

    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("takes_write_lock", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine
