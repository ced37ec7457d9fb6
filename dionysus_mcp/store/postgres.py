"""A store in PostgreSQL with pgvector: its connection, its transactions, its tables.

All of it lies in the schema `dionysus`, so that it may share a database with others. Writers of one tenant's project
go one after another, as they do in a SQLite file, so that what a writer has read still holds when it writes; those of
other projects don't wait. See decision 28.
"""

import contextlib
import hashlib
from collections.abc import Callable, Generator
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url, text

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import postgres_tables
from dionysus_mcp.store.migration import create, upgrade
from dionysus_mcp.store.postgres_words import OPTION, PostgresWords
from dionysus_mcp.store.preflight import SCHEMA_VERSION, require_driver

SCHEMA = "dionysus"
PGVECTOR = (0, 8)
"""The first version of pgvector that goes on searching when a filter leaves too few."""

_CONNECT_SECONDS = 10
_EF_SEARCH = 200
"""Memories that a search in the index of vectors keeps in sight; recall asks for 100."""
# The server's own answers; a lost connection often has none.
_MAY_PASS = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "lock not available",
    "53300": "too many connections",
    "57P01": "shut down by an administrator",
    "57P02": "crashed",
    "57P03": "starting up",
}
# pgvector may have been installed where everybody finds it, or in a schema of extensions.
_SEARCHED = f"{SCHEMA}, public, extensions"


class PostgresDatabase:
    """One database on a server. Thread-safe; any number of processes may use it.

    Args:
        settings: The address, and how long to wait for another's write.

    Attributes:
        attempts: Tries of one write, when the connection is lost or others are in the way; some six seconds together.

    Raises:
        MemoryStoreError: if the driver or pgvector is missing, the server can't be reached or refuses, or the tables
            are newer or not ours.
    """

    attempts = 8
    pause = 0.1

    def __init__(self, settings: MemorySettings) -> None:
        require_driver()
        url = _url(settings.url)
        self.name = _shown(url)
        self._words = PostgresWords()
        self._engine = _engine(url, settings.busy_timeout)
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = self._engine.execution_options(**{OPTION: self._words})
        try:
            self._prepare()
        except exc.DBAPIError as error:
            self.close()
            raise self.explained(error) from error
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def reading(self) -> Generator[Connection]:
        """A transaction that sees one state and writes nothing."""
        with self._reading.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, scope: Scope, *, alone: bool = True) -> Generator[Connection]:
        """A transaction that may write; with `alone` others who write to the same project wait for its end.

        Each statement sees what was committed before it, so what is read after the lock was taken is the latest.
        """
        with self._writing.begin() as connection:
            if alone:
                _lock(connection, scope.tenant, scope.project)
            yield connection

    @contextlib.contextmanager
    def outside_transactions(self, noticed: Callable[[str], None]) -> Generator[Connection]:
        """A connection on which each statement is its own transaction, for what can't be in one.

        Args:
            noticed: Told what the server remarks on the way.

        Raises:
            MemoryStoreError: if the server refuses.
        """

        def remark(diagnosis: Any) -> None:
            noticed(f"{diagnosis.message_primary} {diagnosis.message_detail or ''}")

        try:
            with self._engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                driver: Any = connection.connection.driver_connection
                driver.add_notice_handler(remark)
                try:
                    yield connection
                finally:
                    driver.remove_notice_handler(remark)
        except exc.DBAPIError as error:
            raise self.explained(error) from error

    def size(self) -> int:
        """Bytes of all tables and their indexes."""
        query = text(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)"
        )
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def may_pass(self, error: exc.DBAPIError) -> bool:
        """Whether the connection was lost, the server is coming or going, or another writer was in the way."""
        state = getattr(error.orig, "sqlstate", None)
        lost = error.connection_invalidated or (state is None and isinstance(error, exc.OperationalError))
        return lost or state in _MAY_PASS or (state or "").startswith("08")

    def explained(self, error: exc.DBAPIError) -> MemoryStoreError:
        """What the server refused, or why it can't be reached."""
        reason = " ".join(str(error.orig).split())
        if self.may_pass(error):
            return MemoryStoreError(
                f"The memory store in PostgreSQL on {self.name} can't be reached, or was kept busy too long: {reason}. "
                "Check that the server runs and accepts connections from here, and try again."
            )
        return MemoryStoreError(
            f"The memory store in PostgreSQL on {self.name} refused: {reason}. Check the rights of the user, and the "
            "space on the server."
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()
        self._words.close()

    def _prepare(self) -> None:
        """Make the tables where there are none. Several may come here at once: the lock lets one do it."""
        with self._reading.begin() as connection:
            if self._version(connection) == SCHEMA_VERSION:
                return
        with self._writing.begin() as connection:
            _lock(connection, "", "tables")
            version = self._version(connection)
            if version is None:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
                self._require_pgvector(connection)
                create(connection)
                postgres_tables.create(connection)
            elif version < SCHEMA_VERSION:
                upgrade(connection, version)

    def _version(self, connection: Connection) -> int | None:
        """The version of the tables; None where there are none.

        Raises:
            MemoryStoreError: if they are newer, or not ours.
        """
        if connection.execute(text(f"SELECT to_regclass('{SCHEMA}.alembic_version')")).scalar() is None:
            if connection.execute(text(f"SELECT to_regclass('{SCHEMA}.memory')")).scalar() is not None:
                raise MemoryStoreError(
                    f"The schema {SCHEMA!r} in PostgreSQL on {self.name} holds tables of another application; it was "
                    "left as it is. Choose another database."
                )
            return None
        version = connection.execute(text(f"TABLE {SCHEMA}.alembic_version")).scalar_one()
        if int(version) > SCHEMA_VERSION:
            raise MemoryStoreError(
                f"The memory store in PostgreSQL on {self.name} was written by a newer version (schema {version}, this "
                f"version knows {SCHEMA_VERSION}); it was left as it is. Update Dionysus, or choose another database."
            )
        return int(version)

    def _require_pgvector(self, connection: Connection) -> None:
        installed = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        if connection.execute(installed).scalar() is None:
            try:
                with connection.begin_nested():
                    connection.execute(text("CREATE EXTENSION vector SCHEMA public"))
            except exc.DBAPIError as error:
                raise MemoryStoreError(
                    f"The memory store in PostgreSQL on {self.name} needs the extension pgvector, which could not be "
                    f"made there: {' '.join(str(error.orig).split())}. Install pgvector on the server, and have its "
                    "administrator run CREATE EXTENSION vector in this database."
                ) from error
        version = connection.execute(installed).scalar_one()
        if tuple(int(part) for part in version.split(".")[:2]) < PGVECTOR:
            raise MemoryStoreError(
                f"pgvector {version} in PostgreSQL on {self.name} is too old; version "
                f"{'.'.join(map(str, PGVECTOR))} or later is needed (ALTER EXTENSION vector UPDATE)."
            )


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (exc.ArgumentError, ValueError):
        # The address may hold a password, also where it is wrong, so nothing of it is told.
        raise MemoryStoreError(
            "The address of the memory store is not a URL; give it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, "
            "with special characters of the password percent-encoded."
        ) from None
    driver = url.drivername.partition("+")[2]
    if driver not in ("", "psycopg"):
        raise MemoryStoreError(
            f"The driver {driver!r} is not supported for a memory store; leave it out, as in postgresql://HOST/DATABASE."
        )
    if not url.database:
        raise MemoryStoreError(
            f"The address of the memory store on {_shown(url)} names no database; give it as postgresql://…/DATABASE."
        )
    return url.set(drivername="postgresql+psycopg")


def _shown(url: URL) -> str:
    """Host, port and database, without user and password."""
    named = url.query.get("host", "")
    host = url.host or (named if isinstance(named, str) else ",".join(named)) or "the local socket"
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _engine(url: URL, busy_timeout: float) -> Engine:
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "dionysus"}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    # A prepared statement has one plan for all values, and which plan is right depends on them; poolers lose it, too.
    arguments["prepare_threshold"] = None
    # Asked before each use, so that connections of a server that was started anew are not taken for living ones.
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, isolation_level="READ COMMITTED")

    def connected(connection: Any, _record: Any) -> None:
        connection.execute(f"SET search_path TO {_SEARCHED}")
        connection.execute(f"SET lock_timeout TO {int(busy_timeout * 1000)}")
        connection.execute("SET timezone TO 'UTC'")
        # A search in the index of vectors goes on where the filter leaves too few.
        connection.execute("SET hnsw.iterative_scan TO relaxed_order")
        connection.execute(f"SET hnsw.ef_search TO {_EF_SEARCH}")
        connection.commit()

    event.listen(engine, "connect", connected)
    return engine


def _lock(connection: Connection, *names: str) -> None:
    """Wait until nobody else holds these names, and hold them until the transaction ends."""
    digest = hashlib.sha256(repr((SCHEMA, *names)).encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (number,))
