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

from dionysus_mcp.errors import MemoryStoreError, NoStoreYet
from dionysus_mcp.scope import Scope
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import postgres_errors, postgres_opening
from dionysus_mcp.store.postgres_errors import SCHEMA
from dionysus_mcp.store.postgres_words import OPTION, PostgresWords
from dionysus_mcp.store.preflight import SCHEMA_VERSION, require_driver

_CONNECT_SECONDS = 10
_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""How a host that went off the network is noticed: after half a minute (the last in ms), where the system would take a
quarter of an hour to give a call up."""
_EF_SEARCH = 200
"""Memories that a search in the index of vectors keeps in sight; recall asks for 100."""


class PostgresDatabase:
    """One database on a server. Thread-safe; any number of processes may use it.

    Args:
        settings: The address, and how long to wait for another's write.
        make: Whether to make the tables where there are none.

    Attributes:
        attempts: Tries of one write, when the connection is lost or others are in the way; six to thirteen seconds
            together.

    Raises:
        MemoryStoreError: if the driver or pgvector is missing, the server can't be reached or refuses, or the tables
            are newer or not ours.
        NoStoreYet: if there are no tables, and none are to be made.
    """

    attempts = 8
    pause = 0.1

    def __init__(self, settings: MemorySettings, *, make: bool = True) -> None:
        require_driver()
        url = _url(settings.url)
        self.name = _shown(url)
        self._words = PostgresWords()
        self._engine = _engine(url, settings.busy_timeout)
        self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._writing = self._engine.execution_options(**{OPTION: self._words})
        try:
            self._prepare(make=make)
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
        return postgres_errors.may_pass(error)

    def explained(self, error: exc.DBAPIError) -> MemoryStoreError:
        """What the server refused, or why it can't be reached."""
        happened, advice = postgres_errors.told(error)
        reason = postgres_errors.reason(error)
        return MemoryStoreError(f"The memory store in PostgreSQL on {self.name} {happened}: {reason}. {advice}")

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()
        self._words.close()

    def _prepare(self, *, make: bool) -> None:
        """Make the tables where there are none. Several may come here at once: the lock lets one do it."""
        with self._reading.begin() as connection:
            version = postgres_opening.version_of(connection, self.name)
        if version is None and not make:
            raise NoStoreYet(self.name)
        if version != SCHEMA_VERSION:
            with self._writing.begin() as connection:
                _lock(connection, "", "tables")
                postgres_opening.prepare(connection, self.name)


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
    arguments: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "application_name": "dionysus", **_ALIVE}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    # A prepared statement has one plan for all values, and which plan is right depends on them; poolers lose it, too.
    arguments["prepare_threshold"] = None
    # Asked before each use, so that connections of a server that was started anew are not taken for living ones.
    engine = create_engine(url, connect_args=arguments, pool_pre_ping=True, isolation_level="READ COMMITTED")

    def connected(connection: Any, _record: Any) -> None:
        connection.execute(f"SET search_path TO {', '.join(postgres_opening.SEARCHED)}")
        connection.execute(f"SET lock_timeout TO {int(busy_timeout * 1000)}")
        connection.execute("SET timezone TO 'UTC'")
        # To compile a query takes longer than to run any of ours.
        connection.execute("SET jit TO off")
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
