"""Stores of earlier versions of the schema are brought up, and hold what they held."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.preflight import SCHEMA_VERSION, database_path
from dionysus_mcp.store.sqlite import Store
from dionysus_mcp.store.versions import Change, Versions
from tests.dionysus_mcp.memories_of import structure

VERSION_3 = (Path(__file__).parent / "schema_3.sql").read_text()
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


def test_a_store_that_was_brought_up_is_like_a_new_one(old, tmp_path):
    Store(old).close()
    fresh = old.model_copy(update={"url": f"sqlite:///{tmp_path / 'fresh.db'}"})
    Store(fresh).close()
    assert structure(database_path(old.url)) == structure(database_path(fresh.url))


def test_versions_of_what_was_there_before_are_kept(old):
    with contextlib.closing(Store(old)) as store:
        versions = Versions(store)
        updated = versions.update("m-tea", Change("it moved", content="Tea is at five."), limit=100)
        assert [one.id for one in versions.history(updated.id)] == ["m-tea", updated.id]


def test_a_store_of_the_first_version_gets_vectors_anew(old):
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as connection, connection:
        connection.execute("DROP TABLE vector")
        connection.execute("DROP TABLE passage")
        connection.execute(
            "CREATE TABLE vector (seq INTEGER PRIMARY KEY AUTOINCREMENT, memory_seq INTEGER NOT NULL, model VARCHAR,"
            " dimension INTEGER, format VARCHAR, vector BLOB, UNIQUE (memory_seq, model))"
        )
        connection.execute("PRAGMA user_version=1")
    with contextlib.closing(Store(old)) as store:
        assert [one.content for one in Memories(store).get(["m-tea"])] == ["Tea is at four."]
    with contextlib.closing(sqlite3.connect(database_path(old.url))) as new:
        assert new.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert "traits" in {column[1] for column in new.execute("PRAGMA table_info(vector)")}
