import contextlib
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from sqlalchemy import exc

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import METADATA_LIMIT, Memories, NewMemory, supersede_in
from dionysus_mcp.store.preflight import database_path, is_new
from dionysus_mcp.store.vectors import Vectors
from tests.dionysus_mcp.engines import BOTH, sqlite_only

ENGINES = BOTH

LIMIT = 10_000
WRITER = """
import sys
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.access import Store
store = Store(MemorySettings(url=sys.argv[1]))
memories = Memories(store)
for number in range(40):
    memories.add(NewMemory(f"{sys.argv[2]} remembers {number}"), limit=1000)
    memories.add(NewMemory(f"everybody remembers {number}"), limit=1000)
store.close()
"""


def test_processes_that_create_and_write_at_once_lose_and_double_nothing(settings):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, settings.url, name]) for name in ("ann", "bob", "eve")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    store = Store(settings)
    contents = [memory.content for memory in Memories(store).recent(1000)]
    store.close()
    assert len(contents) == len(set(contents)) == 4 * 40


@sqlite_only
def test_the_file_is_private_and_so_are_its_side_files(settings, store):
    Memories(store).add(NewMemory("secret"), limit=LIMIT)
    modes = {file.name: file.stat().st_mode & 0o777 for file in store.path.parent.glob("memory.db*")}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_memory_is_given_back_as_it_was_stored(store):
    new = NewMemory(
        "Ünïcode 👍 \u202e text\n",
        memory_type="semantic",
        importance=0.9,
        metadata={"a": [1, None]},
        speaker="Ann",
        session_id="s",
        source="x.md",
        position="3-4",
        occurred_at=datetime(2024, 5, 1, 12, tzinfo=UTC),
    )
    stored, added = Memories(store).add(new, limit=LIMIT)
    assert added
    assert Memories(store).get([stored.id]) == [stored]
    assert stored.content == new.content
    assert (stored.source, stored.occurred_at, stored.metadata) == ("x.md:3-4", new.occurred_at, new.metadata)


def test_the_same_memory_again_is_the_one_that_is_there(store):
    first, _ = Memories(store).add(NewMemory("twice"), limit=LIMIT)
    second, added = Memories(store).add(NewMemory("twice", importance=0.9), limit=LIMIT)
    assert (second.id, added) == (first.id, False)


@pytest.mark.parametrize(
    "other",
    [
        NewMemory("yes", speaker="Bob"),
        NewMemory("yes", session_id="s2"),
        NewMemory("yes", occurred_at=datetime(2024, 1, 2, tzinfo=UTC)),
        NewMemory("yes", source="b.md"),
        NewMemory("yes", memory_type="answer"),
    ],
)
def test_the_same_words_said_otherwise_are_another_memory(store, other):
    Memories(store).add(NewMemory("yes"), limit=LIMIT)
    assert Memories(store).add(other, limit=LIMIT)[1]


def test_what_is_superseded_is_closed_and_stays_readable(store):
    memories = Memories(store)
    old, _ = memories.add(NewMemory("old", origin="/f"), limit=LIMIT)
    kept = NewMemory("kept", origin="/f")
    memories.add(kept, limit=LIMIT)
    assert store.write(lambda connection: supersede_in(connection, store.scope, "/f", {kept.hash})) == 1
    assert [memory.content for memory in memories.recent(9)] == ["kept"]
    assert memories.get([old.id])[0].superseded_at is not None
    again, added = memories.add(NewMemory("old", origin="/f"), limit=LIMIT)
    assert added
    assert again.id != old.id


def test_scopes_do_not_see_each_other(url):
    mine, theirs = Store(MemorySettings(url=url)), Store(MemorySettings(url=url, project="other"))
    stored, _ = Memories(mine).add(NewMemory("mine"), limit=LIMIT)
    assert Memories(theirs).recent(9) == []
    assert Memories(theirs).counts() == {}
    with pytest.raises(MemoryStoreError, match=stored.id):
        Memories(theirs).get([stored.id])
    assert Memories(theirs).add(NewMemory("mine"), limit=LIMIT)[1]
    mine.close()
    theirs.close()


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NewMemory(" \n"), "empty"),
        (NewMemory("x" * (LIMIT + 1)), "10,001 characters"),
        (NewMemory("a\x00b"), "NUL"),
        (NewMemory("a\ud800b"), "surrogate"),
        (NewMemory("a", metadata={"x": "y" * METADATA_LIMIT}), "65,536"),
        (NewMemory("a", metadata={"x": float("nan")}), "JSON"),
        (NewMemory("a", metadata={"x": object()}), "JSON"),
    ],
)
def test_what_cannot_be_stored_whole_is_refused(store, new, words):
    with pytest.raises(MemoryStoreError, match=words):
        Memories(store).add(new, limit=LIMIT)
    assert Memories(store).recent(9) == []


def test_metadata_nested_without_end_is_refused(store):
    deep: dict = {}
    for _ in range(100_000):
        deep = {"a": [deep]}
    with pytest.raises(MemoryStoreError, match="50 levels"):
        Memories(store).add(NewMemory("a", metadata=deep), limit=LIMIT)


def test_unknown_ids_are_named(store):
    with pytest.raises(MemoryStoreError, match="'nope', 'never'"):
        Memories(store).get(["nope", "never"])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://me:hunter2@host/db", "MySQL is not supported"),
        ("bolt://host", "Neo4j is not supported"),
        ("me:hunter2@host/db", "sqlite:///FILE or postgresql://"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("memory.db", "sqlite:///FILE"),
    ],
)
def test_other_stores_are_refused_by_name(url, words):
    with pytest.raises(MemoryStoreError, match=words) as caught:
        database_path(url)
    assert "hunter2" not in str(caught.value)


def _foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()


def _newer(path):
    Store(MemorySettings(url=f"sqlite:///{path}")).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def _text(path):
    path.write_text("just a text, but longer than a header\n")


@pytest.mark.parametrize(
    ("make", "words"),
    [(_foreign, "another application"), (_newer, "newer version"), (_text, "not a SQLite database")],
)
def test_a_database_that_is_not_ours_is_refused_and_left_alone(tmp_path, make, words):
    path = tmp_path / "theirs.db"
    make(path)
    before = path.read_bytes()
    with pytest.raises(MemoryStoreError, match=words):
        Store(MemorySettings(url=f"sqlite:///{path}"))
    assert path.read_bytes() == before


@sqlite_only
def test_a_damaged_store_is_refused_with_its_path(settings):
    Store(settings).close()
    path = database_path(settings.url)
    content = path.read_bytes()
    path.write_bytes(content[:200] + b"\xff" * 4000)
    with pytest.raises(MemoryStoreError, match=r"memory\.db"):
        _read_one(settings)


def _read_one(settings):
    with contextlib.closing(Store(settings)) as store:
        Memories(store).recent(1)


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(MemoryStoreError, match="can't be read"):
        Store(MemorySettings(url=f"sqlite:///{tmp_path}"))


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MemoryStoreError, match="Choose a folder"):
        Store(MemorySettings(url=f"sqlite:///{tmp_path / 'file' / 'm.db'}"))


def test_asking_makes_no_file(tmp_path):
    assert is_new(tmp_path / "m.db")
    assert list(tmp_path.iterdir()) == []


@sqlite_only
def test_a_write_waits_for_another_process(settings, store):
    """The other process holds the lock for a second; the write comes through after it."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys, time\n"
            "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "c.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\ntime.sleep(1)\nc.execute('COMMIT')\nc.close()",
            str(store.path),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        assert Memories(store).add(NewMemory("patience"), limit=LIMIT)[1]
        assert holder.wait() == 0


def test_however_the_pauses_of_a_write_fall_they_last_at_least_half_as_long_as_they_may(settings, monkeypatch):
    """Or a server that is started anew within the time that is promised would be given up by chance."""
    pauses = []
    store = Store(settings, sleep=pauses.append)
    monkeypatch.setattr(store._database, "may_pass", lambda _: True)
    for attempts, pause, promised in ((store._database.attempts, store._database.pause, 0.3), (8, 0.1, 6.0)):
        monkeypatch.setattr(store._database, "attempts", attempts)
        monkeypatch.setattr(store._database, "pause", pause)
        for _ in range(20):
            pauses.clear()
            with pytest.raises(MemoryStoreError, match="the server is coming back"):
                store.write(refused)
            assert len(pauses) == attempts - 1
            assert sum(pauses) >= promised
    store.close()


def refused(_connection):
    raise exc.OperationalError("", {}, Exception("the server is coming back"))


def test_a_transaction_that_fails_stores_nothing(store):
    from dionysus_mcp.store.memories import add_in

    def work(connection):
        add_in(connection, store.scope, [NewMemory("half")])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write(work)
    assert Memories(store).recent(9) == []


def test_two_who_index_begin_at_both_ends(store):
    for number in range(5):
        Memories(store).add(NewMemory(content=f"number {number}"), limit=1000)
    vectors = Vectors(store, "m", 4)
    oldest, newest = vectors.missing(2), vectors.missing(2, newest=True)
    assert [one.content for one in oldest] == ["number 0", "number 1"]
    assert [one.content for one in newest] == ["number 3", "number 4"]
    assert [one.content for one in vectors.missing(9)] == [f"number {number}" for number in range(5)]
