"""The same tests on both databases: what a store promises doesn't depend on where it is kept.

A module of tests says `ENGINES = BOTH`; a test within it that is about a file says `@sqlite_only`.
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
_numbers = itertools.count()
SERVER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from provision.postgres_server import serve
with serve() as found:
    print(found["TEST_POSTGRES_URL"], flush=True)
    sys.stdin.read()
"""


def sqlite_only(test):
    """Run a test, or all tests of a class, with SQLite alone."""
    test.engines = ("sqlite",)
    return test


def on_both(test):
    """Run a test with both, in a module that is about SQLite otherwise."""
    test.engines = BOTH
    return test


def parametrized(metafunc):
    """Give a test each engine that it is for."""
    if "engine" not in metafunc.fixturenames:
        return
    of = metafunc.function, metafunc.cls, metafunc.module
    named = next((found for one in of if (found := getattr(one, "engines", None) or getattr(one, "ENGINES", None))), ())
    if len(named) > 1:
        marks = {"postgres": [pytest.mark.postgres]}
        metafunc.parametrize("engine", [pytest.param(one, marks=marks.get(one, [])) for one in named], indirect=True)


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
    """Databases on one server, made from a template that holds an empty store."""

    def __init__(self, url):
        self._url = url
        # The server ends with the tests, and no test takes its power away.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("SELECT pg_reload_conf()")
        self._template = self._name("template")
        self._run(f"CREATE DATABASE {self._template}")
        Store(MemorySettings(url=self.url_of(self._template))).close()

    def url_of(self, name):
        """The address of a database on the same server."""
        head, _, rest = self._url.partition("://")
        place, _, query = rest.partition("?")
        return f"{head}://{place.partition('/')[0]}/{name}?{query}"

    @contextlib.contextmanager
    def fresh(self, *, empty=False):
        """The address of a database of its own, with an empty store or with nothing in it."""
        name = self._name("test")
        self._run(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else self._template}")
        try:
            yield self.url_of(name)
        finally:
            self._run(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self):
        """Drop the template."""
        self._run(f"DROP DATABASE {self._template} WITH (FORCE)")

    def _name(self, kind):
        return f"dionysus_{kind}_{os.getpid()}_{next(_numbers)}"

    def _run(self, statement):
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)
