"""Stores of earlier versions of the schema are brought up, and hold what they held."""

import contextlib
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import migration
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.preflight import SCHEMA_VERSION, database_path
from dionysus_mcp.store.tables import all_tables
from dionysus_mcp.store.versions import Change, Versions
from tests.dionysus_mcp.memories_of import structure, structure_in_postgres

HERE = Path(__file__).parent
KEPT = (3, 4, 5)
"""Versions whose tables are written down; the first two had those of version 3, but for the vectors."""
VERSION_3, VERSION_4, VERSION_5 = ((HERE / f"schema_{version}.sql").read_text() for version in KEPT)
IN_POSTGRES = {5: (HERE / "schema_5_postgres.sql").read_text()}
AS_IN_VERSION_1 = """
DROP TABLE vector;
DROP TABLE passage;
CREATE TABLE vector (seq INTEGER PRIMARY KEY AUTOINCREMENT, memory_seq INTEGER NOT NULL, model VARCHAR,
    dimension INTEGER, format VARCHAR, vector BLOB, UNIQUE (memory_seq, model));
"""
OPEN = """
import sys
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
Store(MemorySettings(url=sys.argv[1])).close()
print(*(name for name in ("alembic", "mako") if name in sys.modules))
"""
ROW = (
    "INSERT INTO memory (id, hash, content, memory_type, importance, metadata, recorded_from, recorded_to) "
    "VALUES (?, ?, ?, 'episodic', 0.5, '{}', '2024-01-01 00:00:00.000000', ?)"
)


@pytest.fixture
def old(settings):
    """A store of version 3 with a memory that is current, one that was replaced, and their vectors."""
    with contextlib.closing(sqlite3.connect(database_path(settings.url))) as connection, connection:
        connection.executescript(VERSION_3)
        connection.execute(ROW, ("m-gone", "h0", "Tea was at three.", None))
        connection.execute(ROW, ("m-tea", NewMemory("Tea is at four.").hash, "Tea is at four.", None))
        connection.execute("UPDATE memory SET recorded_to = '2024-02-01 00:00:00.000000' WHERE id = 'm-gone'")
        connection.execute(
            "INSERT INTO vector (memory_seq, model, dimension, format, vector, terms, traits) "
            "VALUES (2, 'm', 1, 'f2', x'0000', x'', 0)"
        )
    return settings


def test_a_store_of_version_3_keeps_memories_vectors_and_closures(old):
    for _ in range(2):  # the second time there is nothing left to do
        with contextlib.closing(Store(old)) as store:
            tea, gone = Memories(store).get(["m-tea", "m-gone"])
            assert (tea.content, tea.superseded_at) == ("Tea is at four.", None)
            assert (gone.ended_as, gone.superseded_at.month) == ("superseded", 2)
            assert not Memories(store).add(NewMemory("Tea is at four."), limit=100)[1]
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert new.execute("SELECT seq, memory_seq FROM closure").fetchall() == [(1, 1)]
        assert new.execute("SELECT count(*) FROM vector").fetchone() == (1,)


def test_numbers_of_closures_go_on_where_they_were(old):
    """Or a server that has read them all would miss those that come."""
    with contextlib.closing(Store(old)) as store:
        Versions(store).forget("m-tea", "no more tea")
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as new:
        assert new.execute("SELECT seq, memory_seq FROM closure").fetchall() == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("made", "version"),
    [(VERSION_3 + AS_IN_VERSION_1, version) for version in (1, 2)] + [(VERSION_3, 3), (VERSION_4, 4), (VERSION_5, 5)],
    ids=lambda given: f"version {given}" if isinstance(given, int) else "",
)
def test_a_store_of_each_version_becomes_like_a_new_one(settings, tmp_path, made, version):
    """Where this fails for the latest version, its tables were changed: that takes a new version, and a revision."""
    with contextlib.closing(sqlite3.connect(database_path(settings.url))) as connection, connection:
        connection.executescript(made)
        connection.execute(f"PRAGMA user_version={version}")
    Store(settings).close()
    fresh = settings.model_copy(update={"url": f"sqlite:///{tmp_path / 'fresh.db'}"})
    Store(fresh).close()
    assert structure(database_path(settings.url)) == structure(database_path(fresh.url))


@pytest.mark.postgres
@pytest.mark.parametrize("version", IN_POSTGRES)
def test_a_store_of_each_version_in_postgres_becomes_like_a_new_one(databases, version):
    with databases.fresh(empty=True) as old, databases.fresh() as fresh:
        with psycopg.connect(old, autocommit=True) as connection:
            connection.execute(IN_POSTGRES[version])
        Store(MemorySettings(url=old)).close()
        assert structure_in_postgres(old) == structure_in_postgres(fresh)


def test_the_tables_of_every_version_are_written_down():
    """Or a store that was made by one could not be tried with the next."""
    assert max(KEPT) == max(IN_POSTGRES) == SCHEMA_VERSION


def test_versions_of_what_was_there_before_are_kept(old):
    with contextlib.closing(Store(old)) as store:
        versions = Versions(store)
        updated = versions.update("m-tea", Change("it moved", content="Tea is at five."), limit=100)
        assert [one.id for one in versions.history(updated.id)] == ["m-tea", updated.id]


def test_a_store_of_the_first_version_gets_vectors_anew(old):
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as connection, connection:
        connection.executescript(AS_IN_VERSION_1)
        connection.execute("PRAGMA user_version=1")
    with contextlib.closing(Store(old)) as store:
        assert [one.content for one in Memories(store).get(["m-tea"])] == ["Tea is at four."]
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert "traits" in {column[1] for column in new.execute("PRAGMA table_info(vector)")}


@pytest.fixture
def version_4(settings):
    with contextlib.closing(sqlite3.connect(database_path(settings.url))) as connection, connection:
        connection.executescript(VERSION_4)
        connection.execute(ROW, ("m-tea", "h", "Tea is at four.", None))
    return settings


def test_a_store_of_version_4_keeps_its_memories(version_4):
    with contextlib.closing(Store(version_4)) as store:
        assert [one.content for one in Memories(store).recent(9)] == ["Tea is at four."]


@pytest.mark.parametrize("start", ["new", "old"])
def test_the_tables_are_those_that_are_declared(start, request, settings):
    """What alembic would still change: nothing, whichever way the store came to be."""
    if start == "old":
        request.getfixturevalue("old")
    with contextlib.closing(Store(settings)) as store, store.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ours})
        assert compare_metadata(context, all_tables()) == []


def _is_ours(name, kind, _parents):
    return not (kind == "table" and re.match("memory_(fts|terms)", name))


def test_the_last_revision_is_the_version_of_the_schema():
    script = ScriptDirectory(migration.FOLDER)
    assert script.get_heads() == [str(SCHEMA_VERSION)]
    assert [int(one.revision) for one in script.walk_revisions()] == list(range(SCHEMA_VERSION, 1, -1))


def test_alembic_notes_the_version_of_new_and_of_old_stores(old, tmp_path):
    fresh = old.model_copy(update={"url": f"sqlite:///{tmp_path / 'fresh.db'}"})
    for each in (old, fresh):
        Store(each).close()
        with contextlib.closing(sqlite3.connect(database_path(each.url))) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(str(SCHEMA_VERSION),)]


def test_processes_that_open_an_old_store_at_once_bring_it_up_once(old):
    openers = [_opener(old.url) for _ in range(4)]
    loaded = [opener.communicate(timeout=60)[0].split() for opener in openers]
    assert [opener.returncode for opener in openers] == [0] * 4
    assert loaded.count(["alembic", "mako"]) == 1  # the others waited, and found it done
    with contextlib.closing(Store(old)) as store:
        assert [one.id for one in Memories(store).get(["m-tea", "m-gone"])] == ["m-tea", "m-gone"]


def test_a_store_of_this_version_opens_without_alembic(settings):
    for _ in ("new", "there already"):
        opener = _opener(settings.url)
        assert opener.communicate(timeout=60)[0].split() == []
        assert opener.returncode == 0


def _opener(url):
    return subprocess.Popen([sys.executable, "-c", OPEN, url], stdout=subprocess.PIPE, text=True)


def test_a_revision_that_fails_leaves_the_store_as_it_was(old, tmp_path, monkeypatch):
    folder = tmp_path / "migrations % copied"
    shutil.copytree(migration.FOLDER, folder)
    last = next(iter((folder / "versions").glob(f"r{SCHEMA_VERSION}_*.py")))
    fails = "\n    op.execute('CREATE TABLE half (x)')\n    op.execute('no SQL')\n"
    last.write_text(f"{last.read_text()}\nwhole = upgrade\ndef upgrade():\n    whole(){fails}")
    before = structure(database_path(old.url))
    monkeypatch.setattr(migration, "FOLDER", folder)
    with pytest.raises(MemoryStoreError, match="no SQL|syntax"):
        Store(old)
    assert structure(database_path(old.url)) == before
    monkeypatch.undo()
    with contextlib.closing(Store(old)) as store:
        assert [one.id for one in Memories(store).get(["m-tea"])] == ["m-tea"]
