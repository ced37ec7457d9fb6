"""What `verify` finds, what `--repair` sets right, and copies of a store while others write to it."""

import contextlib
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from dionysus_mcp import admin
from dionysus_mcp.embedding import DIMENSION, MODEL_ID
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.embedder import BackgroundEmbedder, embed_missing
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories
from dionysus_mcp.store.vectors import Indexed, Vectors
from tests.dionysus_mcp.engines import on_both
from tests.dionysus_mcp.memories_of import current, fill, opened, problems, told


def altered(store, *statements):
    with contextlib.closing(sqlite3.connect(store.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def with_vector(store, seq=1, model=MODEL_ID):
    vector = np.full(DIMENSION, 0.1, dtype=np.float32)
    Vectors(store, model, DIMENSION).put([Indexed(seq, vector, np.array([1], dtype=np.uint32), 0)])


def test_a_store_with_all_that_can_be_in_it_is_sound(store):
    fill(store, "tea")
    with_vector(store)
    assert problems(store) == {}
    assert problems(store, repair=True) == {}


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("text index", "INSERT INTO memory_fts(rowid, content) VALUES (77, 'ghost')"),
        ("text index", "INSERT INTO memory_fts(memory_fts) VALUES ('delete-all')"),
        ("vectors", "UPDATE vector SET vector = x'00'"),
        ("vectors", "UPDATE vector SET terms = x'00'"),
        ("vectors", "UPDATE vector SET memory_seq = 99"),
        ("passages", "INSERT INTO passage VALUES (1, 'm', x'00', x'')"),
        ("closures", "INSERT INTO closure (memory_seq) SELECT max(seq) FROM memory"),
    ],
)
def test_what_can_be_worked_out_anew_is_repaired(store, check, damage):
    fill(store, "tea")
    with_vector(store)
    kept = [one.id for one in Memories(store).recent(99)]
    altered(store, damage)
    found = problems(store)
    assert list(found) == [check]
    assert "--repair" in found[check].advice
    assert problems(store, repair=True)[check].repaired
    assert problems(store) == {}
    assert [one.id for one in Memories(store).recent(99)] == kept


@pytest.mark.parametrize(
    ("check", "damage"),
    [
        ("hashes", "UPDATE memory SET content = 'forged' WHERE seq = 1"),
        ("hashes", "UPDATE memory SET speaker = 'Eve' WHERE seq = 1"),
        ("scopes", "UPDATE memory SET tenant = '' WHERE seq = 1"),
        ("times", "UPDATE memory SET recorded_to = '2001-01-01 00:00:00.000000' WHERE seq = 1"),
        ("metadata", "UPDATE memory SET metadata = '{' WHERE seq = 1"),
        ("tables", "DROP TRIGGER memory_purged"),
        ("tables", "DROP INDEX memory_current"),
        (
            "references",
            "INSERT INTO model_revision SELECT 'b-none', 9, 'x', 'y', at, NULL, 0 FROM model_revision LIMIT 1",
        ),
    ],
)
def test_what_only_a_backup_can_mend_is_told_and_stays(store, check, damage):
    fill(store, "tea")
    altered(store, damage)
    for repair in (False, True):
        found = problems(store, repair=repair)
        assert list(found) == [check]
        assert "backup" in found[check].advice
        assert not found[check].repaired


def test_damaged_pages_are_found(settings):
    with opened(settings) as store:
        for number in range(400):
            told(store, f"Note {number} about the harbour and its lighthouse.")
        path = store.path
    content = bytearray(path.read_bytes())
    for page in range(len(content) // 4096 * 3 // 4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    path.write_bytes(content)
    found = admin.verify(settings)
    assert not found.sound
    assert any("backup" in (check.advice or "") for check in found.checks)


def test_a_damaged_vector_does_not_keep_the_others_from_being_found(store, settings, model):
    told(store, "Whiskers slept on the warm stove.")
    told(store, "The invoice is due in May.")
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 9, Stemmer())
    altered(store, "UPDATE vector SET vector = x'00' WHERE memory_seq = 2")
    with searching(store, settings, model) as search:
        assert search.recall(Query("feline nap", 5, 8000)).hits[0].content == "Whiskers slept on the warm stove."
    problems(store, repair=True)
    assert Vectors(store, model.model_id, model.dimension).count_missing() <= 1


@contextlib.contextmanager
def searching(store, settings, model, *, at_work=True):
    embedder = BackgroundEmbedder(store, settings, lambda _threads: model)
    if not at_work:
        embedder._stop.set()  # the model is there, and what lacks a vector stays so
    embedder.start()
    embedder.wait(60)
    search = Search(store, embedder)
    try:
        yield search
    finally:
        embedder.close()
        search.close()


class TestAnotherModel:
    def test_its_vectors_are_told_of_until_they_are_made_anew(self, store, settings, model):
        told(store, "Whiskers slept on the warm stove.")
        with_vector(store, 1, "old-model")
        rows = Vectors(store, model.model_id, model.dimension)
        assert rows.outdated() == {"old-model": 1}
        embedder = BackgroundEmbedder(store, settings, lambda _threads: model)
        embedder._outdated = rows.outdated()  # as the thread finds it when it begins
        assert "1 with old-model" in embedder.notice()
        assert "dionysus memory reembed" in embedder.notice()
        embedder.start()
        embedder.wait(60)
        while embedder.pending() or "old-model" in (embedder.notice() or ""):
            embedder._stop.wait(0.01)
        assert embedder.notice() is None
        embedder.close()

    def test_reembedding_makes_them_anew_and_drops_the_old_ones(self, settings):
        with opened(settings) as store:
            told(store, "Whiskers slept on the warm stove.")
            told(store, "The invoice is due in May.")
            with_vector(store, 1, "old-model")
            with opened(settings, project="other") as other:
                told(other, "elsewhere")
                with_vector(other, 3, "old-model")
        seen = []
        summary = admin.reembed(settings, seen.append)
        assert (summary.model, summary.embedded, summary.dropped) == (MODEL_ID, 2, 1)
        assert [(one.done, one.total) for one in seen] == [(0, 2), (2, 2)]
        assert admin.reembed(settings).embedded == 0
        assert admin.stats(settings).pending == 0
        assert admin.stats(settings.model_copy(update={"project": "other"})).pending == 1
        assert admin.verify(settings).sound


class TestBackup:
    def test_a_copy_is_a_store_with_all_scopes(self, settings, store, tmp_path):
        fill(store, "tea")
        with opened(settings, project="other") as other:
            fill(other, "coffee")
        target = tmp_path / "copy.db"
        summary = admin.back_up(settings, target)
        assert (summary.path, summary.memories, summary.size) == (target, 8, target.stat().st_size)
        assert target.stat().st_mode & 0o777 == 0o600
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith("copy")) == ["copy.db"]
        copied = {"url": f"sqlite:///{target}"}
        for scope in ({}, {"project": "other"}):
            with opened(settings, **copied, **scope) as copy, opened(settings, **scope) as original:
                assert Memories(copy).recent(99) == Memories(original).recent(99)
                assert problems(copy) == {}

    def test_it_is_of_one_moment_while_others_write(self, settings, store, tmp_path):
        for number in range(50):
            told(store, f"before {number}")
        stop, began = threading.Event(), threading.Event()

        def write():
            with opened(settings) as other:
                number = 0
                while not stop.is_set():
                    told(other, f"first half {number}")
                    told(other, f"second half {number}")
                    number += 1
                    began.set()
                    stop.wait(0.001)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert began.wait(30)
            admin.back_up(settings, tmp_path / "copy.db")
        finally:
            stop.set()
            writer.join()
        with opened(settings, url=f"sqlite:///{tmp_path / 'copy.db'}") as copy:
            contents = current(copy)
            assert {f"before {number}" for number in range(50)} < set(contents)
            written = [content for content in reversed(contents) if "half" in content]
            assert (
                written
                == [f"{half} half {n}" for n in range(len(written)) for half in ("first", "second")][: len(written)]
            )
            assert problems(copy) == {}

    def test_no_file_is_written_over(self, settings, store, tmp_path):
        (tmp_path / "copy.db").write_text("precious")
        with pytest.raises(MemoryStoreError, match="exists already"):
            admin.back_up(settings, tmp_path / "copy.db")
        assert (tmp_path / "copy.db").read_text() == "precious"

    def test_a_copy_that_fails_or_is_interrupted_leaves_nothing(self, settings, store, tmp_path):
        (tmp_path / "folder").mkdir()
        told(store, "tea")

        def interrupt(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            admin.back_up(settings, tmp_path / "folder" / "copy.db", interrupt)
        assert list((tmp_path / "folder").iterdir()) == []
        with pytest.raises(MemoryStoreError, match="could not be written: No such file"):
            admin.back_up(settings, tmp_path / "none" / "copy.db")

    def test_there_is_nothing_to_copy_verify_or_export_before_anything_was_stored(self, settings, tmp_path):
        for attempt in (
            lambda: admin.back_up(settings, tmp_path / "copy.db"),
            lambda: admin.verify(settings),
            lambda: list(admin.export_lines(settings)),
            lambda: admin.reembed(settings),
            lambda: admin.purge(settings, everything=True),
        ):
            with pytest.raises(MemoryStoreError, match="no memory store"):
                attempt()
        assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
store = Store(MemorySettings(url=sys.argv[1]))
memories = Memories(store)
for number in range(100000):
    one, _ = memories.add(NewMemory(f"{sys.argv[2]} says {number}"), limit=1000)
    same, _ = memories.add(NewMemory(f"all say {number}"), limit=1000)
    print(one.id, same.id, flush=True)
"""


@on_both
def test_writers_that_are_killed_at_any_moment_lose_and_double_nothing(settings):
    """Each is killed after it has told of a few of its memories; what it told of must be there, once."""
    Store(settings).close()
    told_of: list[str] = []
    for generation in range(2):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, settings.url, f"{generation}-{number}"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(3)
        ]
        for number, writer in enumerate(writers):
            for _ in range(5 + 7 * number):
                told_of += writer.stdout.readline().split()
            writer.kill()
        for writer in writers:
            # What was still in the pipe had been acknowledged too; the last line may have been cut.
            rest, _ = writer.communicate()
            told_of += [each for line in rest.split("\n")[:-1] for each in line.split()]
    with opened(settings) as store:
        assert len(told_of) >= 2 * 2 * (5 + 12 + 19)
        assert len(Memories(store).get(told_of)) == len(told_of)
        contents = [one.content for one in Memories(store).recent(1_000_000)]
        assert len(contents) == len(set(contents))
        assert problems(store) == {}
