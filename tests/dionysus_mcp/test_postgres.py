"""What is PostgreSQL's own: reaching it, sharing it, its tables, its indexes. Both engines share the other tests."""

import contextlib
import shutil
import subprocess
import sys
import threading

import numpy as np
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from dionysus_mcp import admin
from dionysus_mcp.embedding import DIMENSION
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall import postgres_vectors
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import migration, postgres, postgres_opening, preflight, sqlite
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in
from dionysus_mcp.store.tables import all_tables
from dionysus_mcp.store.vectors import Indexed, Vectors
from dionysus_mcp.store.versions import Change, Versions
from tests.dionysus_mcp.engines import BOTH
from tests.dionysus_mcp.memories_of import LIMIT, current, fill, opened, problems, told

pytestmark = pytest.mark.postgres
ENGINES = BOTH
OPEN = (
    "import sys\nfrom dionysus_mcp.settings import MemorySettings\nfrom dionysus_mcp.store.access import Store\n"
    "Store(MemorySettings(url=sys.argv[1])).close()\n"
)
TOPICS = ("tea", "the harbour", "a bicycle", "taxes", "the violin", "snow", "a lost key", "bread", "chess", "rain")


class TestSharingIt:
    def test_processes_that_open_an_empty_database_at_once_make_one_store(self, databases):
        with databases.fresh(empty=True) as url:
            openers = [subprocess.Popen([sys.executable, "-c", OPEN, url]) for _ in range(4)]
            assert [opener.wait(60) for opener in openers] == [0] * 4
            with contextlib.closing(Store(MemorySettings(url=url))) as store:
                told(store, "kept")
                assert problems(store) == {}

    def test_tables_of_others_with_the_same_names_stay_as_they_are(self, databases):
        with databases.fresh(empty=True) as url:
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("CREATE TABLE memory (x int)")
                other.execute("CREATE TABLE alembic_version (version_num text)")
                other.execute("INSERT INTO alembic_version VALUES ('theirs')")
            with contextlib.closing(Store(MemorySettings(url=url))) as store:
                told(store, "mine")
                assert problems(store) == {}
            with psycopg.connect(url) as other:
                assert other.execute("TABLE public.memory").fetchall() == []
                assert other.execute("TABLE public.alembic_version").fetchall() == [("theirs",)]

    def test_a_schema_of_another_application_is_refused(self, databases):
        with databases.fresh(empty=True) as url:
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("CREATE SCHEMA dionysus")
                other.execute("CREATE TABLE dionysus.memory (x int)")
            with pytest.raises(MemoryStoreError, match="another application"):
                Store(MemorySettings(url=url))

    def test_a_newer_store_is_refused_and_left_alone(self, address):
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("UPDATE dionysus.alembic_version SET version_num = '99'")
        with pytest.raises(MemoryStoreError, match="newer version .schema 99"):
            Store(MemorySettings(url=address))
        with psycopg.connect(address) as other:
            assert other.execute("TABLE dionysus.alembic_version").fetchall() == [("99",)]


class TestItsTables:
    def test_they_are_those_that_are_declared(self, server):
        from sqlalchemy.dialects.postgresql.base import ischema_names

        from dionysus_mcp.store.halves import HalfVector

        ischema_names["halfvec"] = HalfVector
        own = ("memory_words", "vector_nearest", "memory_thread", "memory_scope")
        with server.read() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "include_schemas": True,
                    "include_name": lambda name, kind, _: kind != "schema" or name is None,
                    "include_object": lambda _, name, *__: name not in own,
                },
            )
            assert compare_metadata(context, all_tables()) == []

    @pytest.mark.parametrize("outcome", ["comes through", "fails"])
    def test_the_next_revision_runs_for_one_of_several_openers_or_not_at_all(
        self, settings, tmp_path, monkeypatch, outcome
    ):
        with opened(settings) as store:
            told(store, "kept")
        folder, later = tmp_path / "migrations", preflight.SCHEMA_VERSION + 1
        shutil.copytree(migration.FOLDER, folder)
        (folder / "versions" / "next.py").write_text(
            f"from alembic import op\nrevision, down_revision = '{later}', '{later - 1}'\n"
            "def upgrade():\n    op.execute('CREATE TABLE later (x integer)')\n"
            + ("    op.execute('no SQL')\n" if outcome == "fails" else "")
        )
        for module in (migration, postgres, postgres_opening, preflight, sqlite):
            monkeypatch.setattr(module, "SCHEMA_VERSION", later)
        monkeypatch.setattr(migration, "FOLDER", folder)
        if outcome == "fails":
            with pytest.raises(MemoryStoreError, match="syntax"):
                Store(settings)
            monkeypatch.undo()
        else:
            threads = [threading.Thread(target=lambda: Store(settings).close()) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        with opened(settings) as store:
            assert current(store) == ["kept"]
            with store.read() as connection:
                assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == str(
                    later if outcome == "comes through" else later - 1
                )
            if outcome == "fails":
                assert problems(store) == {}


class TestManyWriters:
    def test_of_those_who_change_one_memory_at_once_one_comes_through(self, settings):
        with opened(settings) as store:
            first = told(store, "Tea is at four.")
        gate, results = threading.Barrier(6), []

        def change(number):
            with opened(settings) as own:
                gate.wait()
                try:
                    results.append(Versions(own).update(first.id, Change("r", content=f"at {number}"), limit=LIMIT))
                except MemoryStoreError as error:
                    results.append(error)

        threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        refused = [one for one in results if isinstance(one, MemoryStoreError)]
        assert len(refused) == 5
        assert all("was superseded by" in str(one) for one in refused)
        with opened(settings) as store:
            assert len(current(store)) == 1
            assert problems(store) == {}

    def test_one_who_takes_long_holds_up_his_own_project_alone(self, address):
        slow, other = (Store(MemorySettings(url=address, project=name)) for name in ("slow", "other"))
        holds, go_on, ends = threading.Event(), threading.Event(), threading.Event()

        def work(_):
            holds.set()
            go_on.wait(60)
            ends.set()

        thread = threading.Thread(target=lambda: slow.write(work))
        thread.start()
        assert holds.wait(30)
        told(other, "at once")
        assert not ends.is_set()
        go_on.set()
        thread.join()
        assert current(other) == ["at once"]
        for store in (slow, other):
            store.close()


class TestRecall:
    def test_both_engines_find_the_same_in_the_same_order(self, address, tmp_path, model):
        new = [
            NewMemory(f"I spoke about {topic} with {who} on day {day}.", speaker=who, session_id=f"s{day}")
            for day, topic in enumerate(TOPICS)
            for who in ("Ann", "Bob", "Eve")
        ]
        found = []
        for url in (address, f"sqlite:///{tmp_path / 'm.db'}"):
            with contextlib.closing(Store(MemorySettings(url=url))) as store:
                store.write(lambda connection, store=store: add_in(connection, store.scope, new))
                embedder = BackgroundEmbedder(store, MemorySettings(url=url), lambda _: model)
                embedder.start()
                embedder.wait(30)
                while embedder.pending():
                    embedder.follow()
                search = Search(store, embedder)
                asked = [search.recall(Query(f"What did Ann say about {one}?", 10, 10_000)).hits for one in TOPICS]
                found.append([[(hit.content, hit.score) for hit in hits] for hits in asked])
                embedder.close()
                search.close()
        in_postgres, in_sqlite = found
        assert [[one for one, _ in hits[:3]] for hits in in_postgres] == [
            [one for one, _ in hits[:3]] for hits in in_sqlite
        ]
        for mine, theirs in zip(in_postgres, in_sqlite, strict=True):
            assert [score for _, score in mine] == pytest.approx([score for _, score in theirs], abs=0.02)

    def test_the_index_of_vectors_finds_what_a_full_search_does(self, server):
        vectors, rows = self._many(server, 800)
        with server.read() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_sort = off"))
            shares = []
            for query in rows[:20]:
                by_index = postgres_vectors.nearest(connection, vectors, query, Filter(), 100)
                exactly = postgres_vectors.nearest(connection, vectors, query, Filter(), 100, exact=True)
                shares.append(len(set(by_index) & set(exactly)) / 100)
            plan = self._plan(connection)
        assert "vector_nearest" in plan
        assert np.mean(shares) > 0.9, shares

    def test_a_filter_that_admits_few_gets_all_of_them(self, server):
        vectors, rows = self._many(server, 800)
        with server.read() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            connection.execute(text("SET LOCAL enable_sort = off"))
            found = postgres_vectors.nearest(connection, vectors, rows[3], Filter(session_id="s7"), 100)
            here = {one.id for one in Memories(server).recent(2000, session_id="s7")}
        assert len(found) == len(here) == 16

    @staticmethod
    def _many(store, count):
        """Memories of fifty sessions with random vectors."""
        new = [NewMemory(f"note {number}", session_id=f"s{number % 50}") for number in range(count)]
        store.write(lambda connection: add_in(connection, store.scope, new))
        vectors = Vectors(store, "test", DIMENSION)
        rows = np.random.default_rng(7).standard_normal((count, DIMENSION))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        missing = vectors.missing(count)
        vectors.put(
            [Indexed(one.seq, row, np.array([1], np.uint32), 0) for one, row in zip(missing, rows, strict=True)]
        )
        return vectors, rows

    @staticmethod
    def _plan(connection):
        zeros = f"[{','.join(['0.1'] * DIMENSION)}]"
        query = (
            "EXPLAIN SELECT v.memory_seq FROM vector v JOIN memory m ON m.seq = v.memory_seq "
            f"WHERE v.dimension = {DIMENSION} ORDER BY v.vector::halfvec({DIMENSION}) <#> '{zeros}' LIMIT 5"
        )
        return "\n".join(connection.execute(text(query.replace("::", "\\:\\:"))).scalars())


class TestLookingAfterIt:
    def test_its_size_is_told_without_the_password(self, address, server):
        told(server, "Tea is at four.")
        settings = MemorySettings(url=address.replace("postgres:@", "postgres:hunter2@"), embedder="none")
        found = admin.stats(settings)
        assert (found.exists, found.memories, found.path) == (True, 1, None)
        assert found.size > 100_000
        assert found.address.endswith(address.partition("?")[0].rpartition("/")[2])
        assert "hunter2" not in found.model_dump_json()

    def test_a_backup_is_left_to_its_own_tool(self, address, tmp_path):
        with pytest.raises(MemoryStoreError, match="pg_dump --schema=dionysus"):
            admin.back_up(MemorySettings(url=address), tmp_path / "copy.db")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("way", ["up", "down"])
    def test_an_export_of_one_engine_is_the_others(self, address, tmp_path, way):
        both = [MemorySettings(url=f"sqlite:///{tmp_path / 'm.db'}"), MemorySettings(url=address)]
        source, target = both if way == "up" else both[::-1]
        with opened(source) as store:
            fill(store, "tea")
        lines = list(admin.export_lines(source))
        admin.import_lines((line.encode() for line in lines), target)
        assert sorted(admin.export_lines(target)) == sorted(lines)
        with opened(target) as store:
            assert problems(store) == {}

    @pytest.mark.parametrize(
        ("damage", "check", "repairable"),
        [
            ("DELETE FROM memory_words", "text index", True),
            ("UPDATE memory_words SET words = ''", "text index", True),
            ("UPDATE vector SET terms = '\\x00'", "vectors", True),
            ("UPDATE passage SET spans = '\\x00'", "passages", True),
            ("INSERT INTO closure (memory_seq) SELECT seq FROM memory", "closures", True),
            ("UPDATE memory SET tenant = ''", "scopes", False),
            ("UPDATE memory SET ending = 'forgotten'", "times", False),
            ("UPDATE memory SET hash = 'x'", "hashes", False),
            ("DROP INDEX memory_thread", "tables", False),
        ],
    )
    def test_damage_is_found_and_repaired_where_it_can_be(self, server, address, model, damage, check, repairable):
        from dionysus_mcp.recall.embedder import embed_missing
        from dionysus_mcp.recall.terms import Stemmer

        told(server, "Tea is at four. Coffee is at five.")
        embed_missing(Vectors(server, model.model_id, model.dimension), model, 5, Stemmer())
        assert problems(server) == {}
        with psycopg.connect(address, autocommit=True) as other:
            other.execute("SET search_path TO dionysus, public")
            other.execute(damage)
        assert list(problems(server)) == [check]
        assert problems(server, repair=True)[check].repaired is repairable
        assert list(problems(server)) == ([] if repairable else [check])

    def test_one_who_reads_delays_the_erasing_alone_and_is_told_of(self, address):
        from dionysus_mcp.upkeep.purge import Purge, Selection

        with opened(MemorySettings(url=address, busy_timeout=5.0)) as store, psycopg.connect(address) as reader:
            gone = told(store, "quixotrumbelow")
            reader.execute("SELECT count(*) FROM dionysus.memory")
            summary = Purge(store, Selection(ids=[gone.id])).run()
            assert (summary.done, summary.memories, summary.erased) == (True, 1, False)
            assert "verify --repair" in summary.notice
            assert current(store) == []
