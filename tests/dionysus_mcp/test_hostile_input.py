"""Input that nobody should send, full disks, files that can't be written: told clearly, and the store is sound."""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tests.dionysus_mcp.engines import BOTH, postgres_in_all, sqlite_only
from tests.dionysus_mcp.memories_of import LIMIT, current, opened, problems, told
from tests.support.clock import ManualClock

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


@pytest.mark.parametrize(
    ("name", "limit"), [("speaker", 10_000), ("session_id", 10_000), ("source", 10_000), ("memory_type", 300)]
)
def test_a_name_may_be_long_but_not_endless(store, name, limit):
    told(store, "tea", **{name: "n" * limit})
    with pytest.raises(MemoryStoreError, match=f"The {name} has .* it may have {limit:,}"):
        told(store, "coffee", **{name: "n" * (limit + 1)})


def test_long_names_are_counted_into_the_budget_of_a_recall(store, words_only):
    for number in range(5):
        told(store, f"tea number {number}", speaker=f"{number}" * 10_000)
    embedder = BackgroundEmbedder(store, words_only)
    search = Search(store, embedder)
    found = search.recall(Query("tea number", 5, 8_000))
    assert (len(found.hits), found.next_cursor) == (3, "3")
    assert len(found.model_dump_json()) < 8_000 * 4
    search.close()


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


@postgres_in_all
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
            ("create_memory", {"content": "a", "source": "consolidation"}, "source 'consolidation'"),
            ("update_memory", {"memory_id": kept.id, "reason": "r", "content": "x" * 10_000_000}, "10,000,000"),
            ("update_memory", {"memory_id": kept.id, "reason": "r", "metadata": nested(100)}, "levels deep"),
            ("forget_memory", {"memory_id": "'; DROP TABLE memory; --", "reason": "r"}, "Unknown memory ids"),
            ("memory_history", {"memory_id": "m-" + "0" * 1000}, "Unknown memory ids"),
            ("get_memories", {"ids": [None]}, "ids"),
            ("semantic_recall", {"query": "x" * 10_000_000}, "A query has"),
            ("semantic_recall", {"query": "tea", "as_of": 1e300}, "as_of"),
            ("semantic_recall", {"query": "tea", "cursor": "9" * 100_000}, "is no cursor"),
            ("get_memories", {"ids": ["m-" + "0" * 1_000_000]}, "Unknown memory ids: 'm-000"),
            ("get_mental_model", {"model_id": "b" * 1_000_000}, "Unknown mental model 'bbb"),
            ("relate", {"subject": "A", "relation": "knows", "object": "B", "memory_id": "m" * 1_000_000}, "Unknown"),
            *(
                (tool, {**rest, name: beyond}, "beyond the years 1 to 9999 in UTC")
                for beyond in ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00")
                for tool, name, rest in (
                    ("create_memory", "occurred_at", {"content": "a"}),
                    ("semantic_recall", "as_of", {"query": "tea"}),
                    ("explore_graph", "as_of", {"entity": "Ann"}),
                    ("relate", "valid_from", {"subject": "A", "relation": "knows", "object": "B"}),
                    ("make_prediction", "expires_at", {"model_id": "b", "statement": "s", "probability": 0.5}),
                )
            ),
        ]
        for tool, arguments, words in wrong:
            with pytest.raises(McpToolError, match=words) as caught:
                await client.call(tool, arguments)
            assert len(str(caught.value)) < 1500, "an error must not flood who asked"
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


def test_a_damaged_file_is_not_told_to_lack_rights_where_its_folder_may_not_be_written_either():
    folder = Path(tempfile.mkdtemp())
    try:
        settings = MemorySettings(url=f"sqlite:///{folder / 'memory.db'}")
        with opened(settings) as store:
            told(store, "tea")
        whole = (folder / "memory.db").read_bytes()
        (folder / "memory.db").write_bytes(whole[:100] + b"\xff" * 3996 + whole[4096:])
        (folder / "memory.db").chmod(0o444)
        for log in ("memory.db-wal", "memory.db-shm"):
            (folder / log).touch(0o666)
            (folder / log).chmod(0o666)
        folder.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, settings.url], capture_output=True, text=True, check=False, timeout=120
        )
        assert "malformed" in done.stdout, done
        assert "nothing may be written" not in done.stdout
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


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
        assert "nothing may be written into its folder" in done.stdout
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


@sqlite_only
def test_vectors_that_a_repair_dropped_are_made_again_by_a_running_server(settings, model):
    clock = ManualClock()
    with opened(settings) as store:
        told(store, "Whiskers slept on the warm stove.")
        embedder = BackgroundEmbedder(store, settings, lambda _threads: model, clock=clock, wait=clock.wait)
        embedder.start()
        embedder.wait(60)
        vectors = Vectors(store, MODEL_ID, DIMENSION)
        assert _soon(lambda: vectors.count_missing() == 0)
        clock.until_somebody_waits()  # it has looked through everything, and knows that nothing is missing
        store.write(lambda connection: connection.exec_driver_sql("UPDATE vector SET vector = x'00'"))
        assert admin.verify(settings, repair=True).sound
        assert vectors.count_missing() == 1
        assert _soon(lambda: clock.advance(60) or vectors.count_missing() == 0)
        search = Search(store, embedder)
        assert search.recall(Query("feline nap", 5, 8000)).hits[0].similarity > 0
        search.close()
        embedder.close()


def _soon(holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


UNREADABLE = [
    (lambda key: _called(key, '{"a":' * 200 + "1" + "}" * 200), "nested too deep"),
    (lambda key: _called(key, '{"a":' * 100_000 + "1" + "}" * 100_000), "nested too deep"),
    (lambda key: _called(key, "[" * 5000 + "]" * 5000), "nested too deep"),
    (lambda key: f'{{"params": {"[" * 500}{"]" * 500}, "method": "ping", "jsonrpc": "2.0", "id": {key}}}', "too deep"),
    (lambda key: _called(key, '{"half": "\\ud800"}'), "can't be read"),
    (lambda key: f'{{"jsonrpc": "2.0", "id": {key}, "method": "pi', "can't be read"),
    (lambda key: f'{{"jsonrpc": "2.0", "id": {key}, "method": 7}}', "can't be read"),
]


def _called(key, metadata):
    arguments = f'{{"content": "a", "metadata": {metadata}}}'
    params = f'{{"name": "create_memory", "arguments": {arguments}}}'
    return f'{{"jsonrpc": "2.0", "id": {key}, "method": "tools/call", "params": {params}}}'


@sqlite_only
def test_what_cant_be_parsed_is_answered_over_standard_streams(words_only, trace):
    server = memory_server(words_only, trace)
    process = subprocess.Popen(
        [server.command, *server.args],
        env=dict(server.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}

    def answer(line):
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    with process:
        answer(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}))
        process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
        for number, (line, words) in enumerate(UNREADABLE, start=2):
            for key in (number, json.dumps(f"k{number}")):
                said = answer(line(key))
                assert (said["id"], said["error"]["code"]) == (json.loads(str(key)), -32700)
                assert words in said["error"]["message"]
        process.stdin.write(b'\xff\xfe\x00{]\n{"id": \n[1, 2]\n"id"\n\n')  # nobody waits for an answer to these
        assert answer('{"jsonrpc": "2.0", "id": 99, "method": "ping"}') == {"jsonrpc": "2.0", "id": 99, "result": {}}
        process.stdin.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"id": 7}', 7),
        ('{"params": {"id": 1, "x": ["}", "\\"id\\"", {"id": 2}]}, "id": "a-b"}', "a-b"),
        ('{"method": "id", "id": -3', -3),
        ('{"params": {"id": 1}}', None),
        ('{"id": null}', None),
        ('{"id": {"id": 5}}', None),
        ('{"id": 1e5}', None),
        ('{"id"', None),
        ('["id", 4]', None),
        ('{"id": "' + "x" * 1000 + '"}', None),
        ("", None),
    ],
)
def test_the_id_of_an_unreadable_message_is_its_own(line, key):
    from dionysus_mcp.serving.stdio import request_id

    assert request_id(line) == key


@given(st.text())
def test_no_line_is_too_wild_to_look_for_an_id(line):
    from dionysus_mcp.serving.stdio import request_id

    assert isinstance(request_id(line), int | str | None)
