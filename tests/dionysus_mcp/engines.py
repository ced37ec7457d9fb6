"""The same tests on both databases: what a store promises doesn't depend on where it is kept.

A module of tests says `ENGINES = BOTH` where each database has SQL, locks or searching of its own, and
`ENGINES = BOTH_IN_ALL` where both run the same queries: PostgreSQL has its turn in `make test-all` then. A test within
it that is about a file says `@sqlite_only`, and one that both must always pass `@on_both`.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store

BOTH = ("sqlite", "postgres")
BOTH_IN_ALL = ("sqlite", "postgres in all")
_numbers = itertools.count()
SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from provision.postgres_server import serve
with serve() as found:
    print(found["TEST_POSTGRES_URL"], flush=True)
    sys.stdin.read()
"""
SHAPE = """
WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema'))
SELECT md5(string_agg(one, chr(10) ORDER BY one)) FROM (
    SELECT concat_ws(' ', 'class', oid, relname, relkind, relowner, relacl, reloptions, relrowsecurity) AS one
    FROM pg_class WHERE relnamespace IN (TABLE ours)
    UNION ALL SELECT concat_ws(' ', 'column', attrelid, attname, atttypid, attnotnull, attacl, attisdropped)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace IN (TABLE ours)
    UNION ALL SELECT concat_ws(' ', 'constraint', oid, conname, convalidated) FROM pg_constraint
    UNION ALL SELECT concat_ws(' ', 'trigger', oid, tgname, tgenabled) FROM pg_trigger
    UNION ALL SELECT concat_ws(' ', 'function', oid, proname, md5(prosrc), proowner, proacl)
    FROM pg_proc WHERE pronamespace IN (TABLE ours)
    UNION ALL SELECT concat_ws(' ', 'schema', oid, nspname, nspowner, nspacl) FROM pg_namespace
    WHERE oid IN (TABLE ours)
    UNION ALL SELECT concat_ws(' ', 'extension', extname, extversion, extnamespace) FROM pg_extension
    UNION ALL SELECT concat_ws(' ', 'setting', setrole, setconfig) FROM pg_db_role_setting d
    JOIN pg_database b ON b.oid = setdatabase WHERE datname = current_database()
    UNION ALL SELECT concat_ws(' ', 'rights', datdba, datacl, datallowconn, datconnlimit) FROM pg_database
    WHERE datname = current_database()
    UNION ALL SELECT concat_ws(' ', 'version', version_num) FROM dionysus.alembic_version) AS all_of_it
"""
# Only what holds rows, or has counted some: to make the files of all tables anew takes as long as a new database.
EMPTY = """
DO $$ DECLARE used text; BEGIN
    SELECT string_agg(c.oid::regclass::text, ', ') INTO used FROM pg_class c
    WHERE relnamespace = 'dionysus'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
    AND (pg_relation_size(c.oid) > 0 OR EXISTS (
        SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid
        WHERE d.refobjid = c.oid AND CASE q.relkind WHEN 'S' THEN pg_sequence_last_value(q.oid) END IS NOT NULL
    ));
    IF used IS NOT NULL THEN
        EXECUTE 'TRUNCATE ' || used || ' RESTART IDENTITY CASCADE';
        DELETE FROM pg_statistic WHERE starelid IN (
            SELECT oid FROM pg_class WHERE relnamespace = 'dionysus'::regnamespace
        );
    END IF;
END $$
"""


def sqlite_only(test):
    """Run a test, or all tests of a class, with SQLite alone."""
    test.engines = ("sqlite",)
    return test


def on_both(test):
    """Run a test, or all tests of a class, with both in every run, whatever its module says."""
    test.engines = BOTH
    return test


def postgres_in_all(test):
    """Run a test with SQLite, and with PostgreSQL as well in `make test-all`, whatever its module says."""
    test.engines = BOTH_IN_ALL
    return test


def parametrized(metafunc):
    """Give a test each engine that it is for, and a test of the graph each kind of graph over it."""
    if "engine" not in metafunc.fixturenames:
        return
    of = metafunc.function, metafunc.cls, metafunc.module
    named = next((found for one in of if (found := getattr(one, "engines", None) or getattr(one, "ENGINES", None))), ())
    if "world" in metafunc.fixturenames:
        worlds = [_of_graph(*pair) for pair in itertools.product(named or ("sqlite",), ("store", "neo4j"))]
        metafunc.parametrize(("engine", "world"), worlds, indirect=True)
    elif len(named) > 1:
        engines = [pytest.param(_name(one), marks=_marks(one), id=_name(one)) for one in named]
        metafunc.parametrize("engine", engines, indirect=True)


def _name(engine):
    return engine.partition(" ")[0]


def _marks(engine):
    marks = {"sqlite": [], "postgres": [pytest.mark.postgres]}[_name(engine)]
    return marks if engine == _name(engine) else [*marks, pytest.mark.exhaustive]


def _of_graph(engine, kept_in):
    marks = _marks(engine)
    if kept_in == "neo4j":
        marks = [*marks, pytest.mark.neo4j]
        if _name(engine) != "sqlite":
            marks.append(pytest.mark.exhaustive)  # Neo4j's queries are the same whatever it mirrors
    return pytest.param(_name(engine), kept_in, marks=marks, id=f"{_name(engine)}-{kept_in}")


def in_tables(store):
    """All bytes of the files in which PostgreSQL keeps the store; the tests' user may read them."""
    files = text(
        "SELECT pg_read_binary_file(pg_relation_filepath(c.oid)) FROM pg_class c "
        "WHERE c.relkind IN ('r', 'i', 't') AND NOT EXISTS (SELECT FROM pg_namespace n "
        "WHERE n.oid = c.relnamespace AND n.nspname = 'pg_catalog')"
    )
    with store.postgres.outside_transactions(lambda _: None) as connection:
        connection.execute(text("CHECKPOINT"))
        return b"".join(bytes(one) for one in connection.execute(files).scalars())


@contextlib.contextmanager
def own_server():
    """A server that ends with the block."""
    scripts = str(Path(__file__).resolve().parents[2] / "scripts")
    command = [sys.executable, "-c", SERVER, scripts]
    environment = os.environ | {"PYTHONPATH": scripts}  # the server is a process of its own, too
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()
        assert process.wait(60) == 0


@contextlib.contextmanager
def server_in(folder):
    """A server that keeps its data in a folder, where the next one finds it; ends with the block."""
    address = folder / "address"
    address.unlink(missing_ok=True)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2] / "scripts")}
    command = [sys.executable, "-m", "provision.postgres_server", str(folder)]
    with subprocess.Popen(command, env=environment) as process:
        try:
            give_up = time.monotonic() + 120
            while not address.exists():
                assert process.poll() is None
                assert time.monotonic() < give_up
                time.sleep(0.05)
            yield address.read_text()
        finally:
            process.terminate()
            assert process.wait(60) == 0


def run(address, *statements):
    """Do something on a server, as its administrator."""
    with psycopg.connect(address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


class Databases:
    """Databases on one server, each with an empty store.

    One that a test gives back as it got it, but for its rows, is emptied and gets another name for the next test; one
    whose tables, rights or settings were changed is dropped.
    """

    def __init__(self, url):
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True)
        # The server ends with the tests, and no test takes its power away.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("SELECT pg_reload_conf()")
        self._template = self._name("template")
        self._run(f"CREATE DATABASE {self._template}")
        Store(MemorySettings(url=self.url_of(self._template))).close()
        self._free = []
        self._made_as = None

    def url_of(self, name):
        """The address of a database on the same server."""
        head, _, rest = self._url.partition("://")
        place, _, query = rest.partition("?")
        return f"{head}://{place.partition('/')[0]}/{name}?{query}"

    @contextlib.contextmanager
    def fresh(self, *, empty=False):
        """The address of a database of its own, with an empty store or with nothing in it."""
        name = self._name("test")
        if empty:
            self._run(f"CREATE DATABASE {name} TEMPLATE template0")
        elif self._free:
            # A new name each time: who was left behind by an earlier test finds nothing to write to.
            self._run(f"ALTER DATABASE {self._free.pop()} RENAME TO {name}")
        else:
            self._run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
            with psycopg.connect(self.url_of(name)) as connection:
                self._made_as = connection.execute(SHAPE).fetchone()
        try:
            yield self.url_of(name)
        finally:
            if not empty and self._emptied(name):
                self._free.append(name)
            else:
                self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self):
        """Drop what is kept for the next test, and the template."""
        for name in (*self._free, self._template):
            self._run(f"DROP DATABASE {name} WITH (FORCE)")
        self._connection.close()

    def _emptied(self, name):
        """Whether the database is again as it was made."""
        self._run(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'")
        try:
            with psycopg.connect(self.url_of(name), autocommit=True) as connection:
                if connection.execute(SHAPE).fetchone() != self._made_as:
                    return False
                connection.execute(EMPTY)
        except psycopg.Error:
            return False
        return True

    def _name(self, kind):
        return f"dionysus_{kind}_{os.getpid()}_{next(_numbers)}"

    def _run(self, statement):
        self._connection.execute(statement)
