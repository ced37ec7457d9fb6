"""Reaching a server of PostgreSQL: wrong addresses, no right to come in, and servers that go and come back."""

import contextlib
import os
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.postgres_vectors import Neighbours
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import preflight
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Vectors
from tests.dionysus_mcp.engines import own_server, run, server_in
from tests.dionysus_mcp.memories_of import current, opened, told

pytestmark = pytest.mark.postgres


class TestReachingIt:
    def test_without_the_driver_it_is_said_what_to_install(self, monkeypatch):
        monkeypatch.setattr(preflight, "find_spec", lambda _: None)
        with pytest.raises(MemoryStoreError, match=r"pip install 'dionysus-mind\[postgres\]'"):
            Store(MemorySettings(url="postgresql://host/db"))
        with pytest.raises(MemoryStoreError, match="psycopg"):
            preflight.examine("postgresql://host/db")

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("postgresql://me:hunter2@127.0.0.1:1/db", "127.0.0.1:1/db can't be reached"),
            ("postgres://me:hunter2@127.0.0.1:1/db?application_name=x", "127.0.0.1:1/db can't be reached"),
            ("postgresql://127.0.0.1:1/db?user=me&password=hunter2", "127.0.0.1:1/db can't be reached"),
            ("postgresql://me:hunter2@127.0.0.1:1", "names no database"),
            ("postgresql://me:hunter2@127.0.0.1:port/db", "is not a URL"),
            ("postgresql+asyncpg://me:hunter2@127.0.0.1:1/db", "'asyncpg' is not supported"),
        ],
    )
    def test_what_cannot_be_reached_is_named_without_its_password(self, url, words):
        with pytest.raises(MemoryStoreError, match=words) as caught:
            Store(MemorySettings(url=url))
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_a_server_of_ours_ends_with_one_line_that_says_so(self):
        environment = os.environ | {"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/db"}
        command = [sys.executable, "-P", "-m", "dionysus_mcp.server"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, text=True, env=environment, **pipes) as ended:
            assert ended.wait(60) == 1  # though a client still holds its input open
            said, error = ended.stdout.read(), ended.stderr.read()
        assert (said, error.count("\n")) == ("", 1)
        assert "127.0.0.1:1/db can't be reached" in error
        assert "hunter2" not in error

    def test_a_database_that_is_not_there_is_named(self, postgres_url):
        url = postgres_url.replace("/postgres?", "/nowhere?")
        with pytest.raises(MemoryStoreError, match='"nowhere" does not exist'):
            Store(MemorySettings(url=url))

    def test_a_write_comes_through_though_its_connection_was_lost(self, server):
        ended = []

        def work(connection):
            if not ended:
                ended.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
                connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
            return add_in(connection, server.scope, [NewMemory("kept")])

        server.write(work)
        assert current(server) == ["kept"]
        assert ended

    def test_connections_that_were_ended_while_idle_are_not_noticed(self, server, address):
        told(server, "kept")
        with psycopg.connect(address, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert current(server) == ["kept"]

    def test_a_server_that_has_gone_is_told_by_name_for_reads_and_writes(self):
        with own_server() as found:
            url = found.replace("postgres:@", "postgres:hunter2@")
            store = Store(MemorySettings(url=url))
            told(store, "kept")
        for attempt in (lambda: current(store), lambda: told(store, "lost")):
            with pytest.raises(MemoryStoreError, match="/postgres can't be reached") as caught:
                attempt()
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))
        store.close()

    def test_a_write_waits_for_a_server_that_is_started_anew_and_reads_work_again(self):
        with tempfile.TemporaryDirectory(prefix="dionysus-postgres-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)  # as root, the server runs as a user of its own and must get through
            with server_in(Path(folder)) as url:
                store = Store(MemorySettings(url=url))
                told(store, "before")
            store.postgres.attempts += 2  # a busy machine takes longer to start one than the six seconds promised
            with contextlib.closing(store), ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(told, store, "meanwhile")
                with server_in(Path(folder)):
                    waiting.result(120)
                    assert current(store) == ["meanwhile", "before"]


@pytest.fixture(scope="module")
def guarded():
    """A server that asks some for a password."""
    with own_server() as address:
        with psycopg.connect(address) as connection:
            (path,) = connection.execute("SHOW hba_file").fetchone()
        rules = "local all known scram-sha-256\nlocal all barred reject\n"
        with open(path, "r+", encoding="utf-8") as file:
            rest = file.read()
            file.seek(0)
            file.write(rules + rest)
        run(address, "CREATE ROLE known LOGIN PASSWORD 'open:sesame'", "CREATE ROLE barred LOGIN")
        run(address, "SELECT pg_reload_conf()", "CREATE EXTENSION vector", "GRANT ALL ON DATABASE postgres TO known")
        yield address


class TestBeingLetIn:
    @pytest.mark.parametrize("who", ["known:hunter2", "known:", "barred:hunter2", "unknown:hunter2"])
    def test_one_who_is_not_let_in_is_told_to_check_the_address_without_its_password(self, guarded, who):
        with pytest.raises(MemoryStoreError, match=r"/postgres lets nobody in.*Check the user, the password") as caught:
            Store(MemorySettings(url=guarded.replace("postgres:@", f"{who}@")))
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))

    def test_the_right_password_opens_the_store(self, guarded):
        with opened(MemorySettings(url=guarded.replace("postgres:@", "known:open%3Asesame@"))) as store:
            told(store, "kept")
            assert current(store) == ["kept"]

    def test_a_parameter_that_does_not_exist_is_named(self, guarded):
        with pytest.raises(MemoryStoreError, match='"colour".*Check the address'):
            Store(MemorySettings(url=f"{guarded}&colour=blue"))


class TestLosingIt:
    def test_a_connection_that_is_cut_while_neighbours_are_read_is_told_and_the_next_read_works(self, address, server):
        told(server, "tea")
        near = Neighbours(Vectors(server, "model", 4))

        def read_neighbours(*, cut):
            with server.read() as connection:
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
                if cut:
                    run(address, f"SELECT pg_terminate_backend({pid}, 10000)")
                return near.of(connection, [1])

        with pytest.raises(MemoryStoreError, match="can't be reached"):
            read_neighbours(cut=True)
        assert read_neighbours(cut=False) == []

    def test_what_the_server_refuses_while_neighbours_are_read_is_told_in_its_words(self, server):
        near = Neighbours(Vectors(server, "model", 4))
        with pytest.raises(MemoryStoreError, match="refused: .*out of range"), server.read() as connection:
            near.of(connection, [2**70])
