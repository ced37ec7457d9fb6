"""Users of PostgreSQL who may do less than all: what is refused, in which words, and what still works."""

import itertools
import os

import psycopg
import pytest

from dionysus_mcp import admin
from dionysus_mcp.errors import MemoryStoreError, NoStoreYet
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.engines import run
from tests.dionysus_mcp.memories_of import current, fill, opened, problems, told

pytestmark = pytest.mark.postgres
_numbers = itertools.count()


def of(address, user):
    return MemorySettings(url=address.replace("//postgres:", f"//{user}:"), embedder="none")


@pytest.fixture
def user(postgres_url):
    """One who may do nothing yet."""
    name = f"dionysus_user_{os.getpid()}_{next(_numbers)}"  # roles are of the whole server
    run(postgres_url, f"DROP ROLE IF EXISTS {name}", f"CREATE ROLE {name} LOGIN")
    yield name
    run(postgres_url, f"DROP ROLE {name}")


@pytest.fixture
def empty(databases, user):
    """A database with nothing in it, gone before the user: what a user has made can't be left behind."""
    with databases.fresh(empty=True) as address:
        yield address


@pytest.fixture
def full(databases, user):
    """A store with some memories."""
    with databases.fresh() as address:
        with opened(MemorySettings(url=address)) as store:
            fill(store, "tea")
        yield address


class TestAnEmptyDatabase:
    def test_asking_how_much_there_is_makes_nothing(self, empty):
        found = admin.stats(MemorySettings(url=empty))
        assert (found.exists, found.memories, found.size) == (False, 0, 0)
        assert found.address.endswith(empty.partition("?")[0].rpartition("/")[2])
        assert self._made(empty) == []

    @pytest.mark.parametrize(
        "ask",
        [
            lambda settings: list(admin.export_lines(settings)),
            admin.verify,
            lambda settings: admin.purge(settings, everything=True),
            admin.reembed,
        ],
        ids=["export", "verify", "purge", "reembed"],
    )
    def test_what_looks_after_a_store_says_that_there_is_none(self, empty, ask):
        with pytest.raises(NoStoreYet, match=r"no memory store at .* yet; `dionysus remember` makes one"):
            ask(MemorySettings(url=empty))
        assert self._made(empty) == []

    def test_what_stores_makes_one(self, empty):
        admin.ingest_text("Tea is at four.", MemorySettings(url=empty, embedder="none"))
        assert admin.stats(MemorySettings(url=empty, embedder="none")).memories == 1

    @staticmethod
    def _made(address):
        with psycopg.connect(address) as connection:
            made = (
                "SELECT nspname FROM pg_namespace WHERE nspname = 'dionysus' UNION ALL SELECT extname FROM pg_extension"
            )
            return [name for (name,) in connection.execute(made) if name != "plpgsql"]


class TestMakingTheTables:
    def test_who_may_not_make_a_schema_is_told_what_to_ask_for_and_it_helps(self, empty, user):
        for asked in (f"CREATE SCHEMA dionysus AUTHORIZATION {user}", "CREATE EXTENSION vector"):
            with pytest.raises(MemoryStoreError, match=asked):
                Store(of(empty, user))
            run(empty, asked)
        with opened(of(empty, user)) as store:
            told(store, "Tea is at four.")
            assert current(store) == ["Tea is at four."]
            assert problems(store) == {}

    def test_a_server_without_pgvector_is_told_of(self, empty):
        name = empty.partition("?")[0].rpartition("/")[2]
        run(empty, f"ALTER DATABASE {name} SET extension_control_path = '/nowhere'")
        with pytest.raises(MemoryStoreError, match='"vector" is not available.* Install pgvector on the server'):
            Store(MemorySettings(url=empty))
        run(empty, f"ALTER DATABASE {name} RESET extension_control_path")
        Store(MemorySettings(url=empty)).close()

    @pytest.mark.parametrize("there", ["a store", "no store"])
    def test_a_pgvector_that_is_too_old_is_refused_with_its_version(self, databases, there):
        with databases.fresh(empty=there == "no store") as address:
            run(
                address,
                "CREATE EXTENSION IF NOT EXISTS vector",
                "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'",
            )
            with pytest.raises(
                MemoryStoreError, match=r"pgvector 0\.7\.4 .*0\.8 or later.*ALTER EXTENSION vector UPDATE"
            ):
                Store(MemorySettings(url=address))

    def test_a_pgvector_where_nobody_looks_is_found_and_told_of(self, empty):
        run(empty, "CREATE SCHEMA elsewhere", "CREATE EXTENSION vector SCHEMA elsewhere")
        with pytest.raises(MemoryStoreError, match="'elsewhere'.*ALTER EXTENSION vector SET SCHEMA public"):
            Store(MemorySettings(url=empty))
        run(empty, "ALTER EXTENSION vector SET SCHEMA public")
        Store(MemorySettings(url=empty)).close()

    def test_a_store_that_lost_pgvector_says_so(self, full):
        run(full, "DROP EXTENSION vector CASCADE")
        with pytest.raises(MemoryStoreError, match="has lost the extension pgvector"):
            Store(MemorySettings(url=full))


class TestOneWhoOnlyReads:
    @pytest.fixture
    def reader(self, full, user):
        run(
            full,
            f"GRANT USAGE ON SCHEMA dionysus TO {user}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA dionysus TO {user}",
        )
        return of(full, user)

    def test_without_any_right_the_schema_is_named(self, full, user):
        with pytest.raises(
            MemoryStoreError, match="permission denied.*grant this user the rights on the schema dionysus"
        ):
            Store(of(full, user))

    def test_whatever_reads_works(self, reader):
        assert admin.stats(reader).memories > 0
        assert admin.verify(reader).sound
        assert len(list(admin.export_lines(reader))) > 2
        assert not admin.purge(reader, everything=True).done

    def test_a_write_is_refused_at_once_with_what_is_missing(self, reader):
        with opened(reader) as store, pytest.raises(MemoryStoreError, match="permission denied.*grant this user"):
            told(store, "new")
