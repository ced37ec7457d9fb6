"""Input that nobody should send, full disks, files that can't be written: told clearly, and the store is sound."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from dionysus_mcp import admin
from dionysus_mcp.client import McpClient, McpToolError, MemoryClient, memory_server
from dionysus_mcp.embedding import DIMENSION, MODEL_ID
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import METADATA_DEPTH, Memories, NewMemory
from dionysus_mcp.store.vectors import Indexed, Vectors
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH, sqlite_only
from tests.dionysus_mcp.memories_of import LIMIT, current, opened, problems, told

ENGINES = BOTH


HOSTILE = (
    "'; DROP TABLE memory; --",
    '" OR 1=1 --',
    "NEAR(a b) AND content : * ^ NOT (",
    '"unbalanced',
    "* - + ^ : ( ) { } \" '",
    "content : secret",
    "%_%\\",
    "\u202egnp.exe\u202c and \u2066hidden\u2069",
    "\x01\x02\x1b[2J\x7f",
    "👩‍👩‍👧‍👦 é ﷽ \ufeff\u200b",
    "{{7*7}} ${jndi:ldap://x} <script>",
    "x" * 9_999,
)


def nested(levels):
    inner: dict = {}
    for _ in range(levels - 1):
        inner = {"a": inner}
    return inner


@pytest.fixture
def recalled(store, words_only):
    embedder = BackgroundEmbedder(store, words_only)
    embedder.start()
    search = Search(store, embedder)
    yield lambda text: search.recall(Query(text, 5, 100_000)).hits
    search.close()


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_text_wherever_it_stands(store, recalled, text):
    stored = told(store, f"tea {text}", speaker=text, session_id=text, source=text, context=text, metadata={text: text})
    updated = Versions(store).update(stored.id, Change(text[:4000], content=f"coffee {text}"), limit=LIMIT)
    assert updated.content == f"coffee {text}"
    assert [one.id for one in Versions(store).history(updated.id)] == [stored.id, updated.id]
    assert [one.id for one in Memories(store).recent(9, session_id=text)] == [updated.id]
    recalled(text)  # an error would be one of the index's language
    assert [hit.id for hit in recalled("coffee")] == [updated.id]
    assert problems(store) == {}


@pytest.mark.parametrize(
    "attempt",
    [
        lambda store, half: Memories(store).get([half]),
        lambda store, half: Memories(store).recent(5, session_id=half),
        lambda store, half: Memories(store).recent(5, memory_types=[half]),
        lambda store, half: told(store, half),
        lambda store, half: told(store, "tea", speaker=half),
        lambda store, half: told(store, "tea", metadata={"a": half, half: 1}),
        lambda store, half: Versions(store).history(half),
        lambda store, half: Versions(store).forget("m-x", half),
        lambda store, half: Purge(store, Selection(sessions=[half])).trial(),
    ],
)
def test_half_of_a_surrogate_pair_is_refused_wherever_it_stands(store, attempt):
    told(store, "kept")
    with pytest.raises(MemoryStoreError, match="surrogate"):
        attempt(store, "\ud800")
    assert current(store) == ["kept"]
    assert problems(store) == {}


def test_metadata_as_deep_as_is_allowed_comes_back_and_deeper_ones_are_refused(store):
    stored = told(store, "deep", metadata=nested(METADATA_DEPTH))
    assert Memories(store).get([stored.id])[0].model_dump_json()
    for levels in (METADATA_DEPTH + 2, 300, 100_000):
        with pytest.raises(MemoryStoreError, match="levels deep"):
            told(store, "deeper", metadata=nested(levels))
    assert problems(store) == {}


def test_a_vector_of_another_dimension_is_never_compared(store, settings, model):
    told(store, "Whiskers slept on the warm stove.")
    Vectors(store, MODEL_ID, 3).put([Indexed(1, np.ones(3), np.array([1], dtype=np.uint32), 0)])
    embedder = BackgroundEmbedder(store, settings, lambda _threads: model)
    embedder._model, embedder.status = model, "ready"
    search = Search(store, embedder)
    found = search.recall(Query("Whiskers", 5, 8000))
    search.close()
    assert [hit.content for hit in found.hits] == ["Whiskers slept on the warm stove."]
    assert problems(store) == {}
    assert Vectors(store, MODEL_ID, DIMENSION).count_missing() == 1


@pytest.mark.anyio
async def test_a_server_survives_it_all(words_only, trace):
    async with McpClient("memory", memory_server(words_only, trace)) as client:
        memory = MemoryClient(client)
        kept = await memory.create("Tea is at four.")
        wrong = [
            ("create_memory", {"content": "x" * 10_000_000}, "10,000,000 characters"),
            ("create_memory", {"content": "a\x00b"}, "NUL"),
            ("create_memory", {"content": ["a"]}, "content"),
            ("create_memory", {"content": "a", "metadata": nested(100)}, "levels deep"),
            ("create_memory", {"content": "a", "importance": "high"}, "importance"),
            ("update_memory", {"memory_id": kept.id, "reason": "r", "content": "x" * 10_000_000}, "10,000,000"),
            ("update_memory", {"memory_id": kept.id, "reason": "r", "metadata": nested(100)}, "levels deep"),
            ("forget_memory", {"memory_id": "'; DROP TABLE memory; --", "reason": "r"}, "Unknown memory ids"),
            ("memory_history", {"memory_id": "m-" + "0" * 1000}, "Unknown memory ids"),
            ("get_memories", {"ids": [None]}, "ids"),
            ("semantic_recall", {"query": "x" * 10_000_000}, "A query has"),
            ("semantic_recall", {"query": "tea", "as_of": 1e300}, "as_of"),
        ]
        for tool, arguments, words in wrong:
            with pytest.raises(McpToolError, match=words):
                await client.call(tool, arguments)
        for text in HOSTILE:
            await memory.recall(text, session_id=text, memory_types=[text])
        assert [hit.id for hit in (await memory.recall("tea")).hits] == [kept.id]
    assert admin.verify(words_only).sound


FULL = """
import resource, sys
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
store = Store(MemorySettings(url=sys.argv[1]))
memories = Memories(store)
resource.setrlimit(resource.RLIMIT_FSIZE, (800_000, resource.RLIM_INFINITY))
try:
    for number in range(1000):
        one, _ = memories.add(NewMemory(f"{number} " + "words " * 1000), limit=100_000)
        print(one.id, flush=True)
except MemoryStoreError as error:
    print("refused:", error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(memories.add(NewMemory("after"), limit=100)[0].id)
"""


@sqlite_only
def test_a_full_disk_is_told_and_what_was_stored_before_is_there(settings):
    """A limit on the size of files is met as a full disk is: a write fails in the middle."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, settings.url], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    *stored, refused, after = done.stdout.splitlines()
    assert "refused: The memory store" in refused
    assert "free space" in refused
    with opened(settings) as store:
        assert len(Memories(store).get([*stored, after])) == len(stored) + 1 > 5
        assert len(current(store)) == len(stored) + 1
        assert problems(store) == {}


READ_ONLY = """
import os, sys
from dionysus_mcp import admin
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import migration
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
import sqlalchemy.dialects.sqlite
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
settings = MemorySettings(url=sys.argv[1])
try:
    Memories(Store(settings)).add(NewMemory("more"), limit=100)
except MemoryStoreError as error:
    print(error)
"""


def test_a_file_that_may_not_be_written_is_told_and_left_alone():
    folder = Path(tempfile.mkdtemp())  # of another user, so not below a folder that is private
    try:
        settings = MemorySettings(url=f"sqlite:///{folder / 'memory.db'}")
        with opened(settings) as store:
            told(store, "tea")
        (folder / "memory.db").chmod(0o444)
        folder.chmod(0o555)
        before = (folder / "memory.db").read_bytes()
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, settings.url], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert "memory.db" in done.stdout
        assert "readonly" in done.stdout or "read-only" in done.stdout or "rights" in done.stdout
        assert (folder / "memory.db").read_bytes() == before
        folder.chmod(0o700)
        (folder / "memory.db").chmod(0o600)
        assert admin.verify(settings).sound
    finally:
        os.chmod(folder, 0o700)
        shutil.rmtree(folder)


@sqlite_only
def test_a_store_of_a_newer_version_is_touched_by_no_command(settings, tmp_path):
    Store(settings).close()
    path = Path(settings.url.removeprefix("sqlite:///"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = path.read_bytes()
    for attempt in (
        lambda: admin.verify(settings, repair=True),
        lambda: admin.purge(settings, everything=True, trial=False),
        lambda: admin.back_up(settings, tmp_path / "copy.db"),
        lambda: admin.import_lines([], settings),
        lambda: list(admin.export_lines(settings)),
        lambda: admin.reembed(settings),
        lambda: admin.stats(settings),
        lambda: Memories(Store(settings)).add(NewMemory("x"), limit=9),
    ):
        with pytest.raises(MemoryStoreError, match="newer version"):
            attempt()
    assert path.read_bytes() == before
