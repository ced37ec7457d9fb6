"""What is purged is gone: from rows, indexes, running servers, and the bytes on the disk."""

import contextlib
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from dionysus_mcp import admin
from dionysus_mcp.embedding import DIMENSION
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.index import NOBODY
from dionysus_mcp.recall.postgres_index import index_of
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.vectors import Indexed, PassageVectors, Vectors
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH, in_tables, sqlite_only
from tests.dionysus_mcp.memories_of import LIMIT, current, fill, opened, problems, told

ENGINES = BOTH


def purged(store, **selection):
    return Purge(store, Selection(**selection)).run()


def on_disk(store):
    """All bytes of the store's file and its log, lower case; the third file only numbers pages."""
    if store.in_postgres:
        return in_tables(store).lower()
    files = sorted(store.path.parent.glob(f"{store.path.name}*"))
    return b"".join(file.read_bytes() for file in files if not file.name.endswith("-shm")).lower()


def embedded(store, seq, number):
    rows = Vectors(store, "m", DIMENSION)
    vector = np.full(DIMENSION, number, dtype=np.float32)
    pieces = PassageVectors([(0, 1), (1, 2)], np.stack([vector, vector]))
    rows.put([Indexed(seq, vector, np.array([seq], dtype=np.uint32), 0, pieces)])
    return rows


def test_not_a_byte_of_it_is_left_in_the_file(store):
    for number in range(50):
        told(store, f"Ordinary note {number} about xylograph{number}y and nothing else.")
    secret = told(store, "The passphrase is Quixotrumbelow.", speaker="Zebulonixa", metadata={"Flimwhistle": 1})
    embedded(store, 51, 0.123)
    vector = np.full(4, 0.123, dtype="<f2").tobytes()
    assert all(word in on_disk(store) for word in (b"quixotrumbelow", b"zebulonixa", b"flimwhistle", vector))
    summary = purged(store, ids=[secret.id])
    assert (summary.memories, summary.erased, summary.notice) == (1, True, None)
    left = on_disk(store)
    # The index shortens words that begin like the one before, so their ends are looked for, too.
    for trace in (b"quixot", b"otrumbelow", b"zebulon", b"ulonixa", b"flimwhistle", secret.id.encode(), vector):
        assert trace not in left
    assert b"xylograph" in left
    assert len(current(store)) == 50
    assert problems(store) == {}


@sqlite_only
def test_words_that_only_the_index_still_held_are_gone_from_it(store):
    secret = told(store, "quixotrumbelow")
    purged(store, ids=[secret.id])
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT term FROM memory_terms").fetchall() == []
        assert connection.execute("SELECT count(*) FROM memory_fts_data WHERE id > 10").fetchone() == (0,)


def test_an_id_that_was_purged_is_unknown(store):
    gone, kept = told(store, "gone"), told(store, "kept")
    purged(store, ids=[gone.id])
    with pytest.raises(MemoryStoreError, match=gone.id):
        Memories(store).get([gone.id])
    assert Memories(store).get([kept.id]) == [kept]


def test_the_index_of_another_process_lets_go_of_it(settings, store):
    gone, kept = told(store, "gone"), told(store, "kept")
    rows = embedded(store, 1, 0.5)
    embedded(store, 2, 0.5)
    index = index_of(rows)
    index.catch_up()
    with opened(settings) as other:
        purged(other, ids=[gone.id])
    index.catch_up()
    from dionysus_mcp.recall.admitted import Filter

    with store.read() as connection:
        seen = index.within(connection)
        found = seen.nearest(np.ones(DIMENSION, dtype=np.float32), Filter(), 10)
        assert seen.column("seqs", found).tolist() == [2]
    assert store.in_postgres or index.places([1])[0] != NOBODY  # its place stays, without being found
    assert kept.superseded_at is None


@sqlite_only
def test_a_trial_changes_nothing(store):
    one = told(store, "one", session_id="s")
    before = on_disk(store)
    trial = Purge(store, Selection(sessions=["s"])).trial()
    assert (trial.done, trial.memories, trial.erased) == (False, 1, False)
    assert Memories(store).get([one.id]) == [one]
    assert on_disk(store) == before


def test_a_session_goes_with_all_its_versions(store):
    old = told(store, "old", session_id="s")
    Versions(store).update(old.id, Change("r", content="new"), limit=LIMIT)
    told(store, "elsewhere", session_id="t")
    assert purged(store, sessions=["s"]).memories == 2
    assert current(store) == ["elsewhere"]


def test_a_version_goes_alone_unless_all_are_asked_for(store):
    old = told(store, "with the secret")
    new = Versions(store).update(old.id, Change("redacted", content="without it"), limit=LIMIT)
    assert Purge(store, Selection(ids=[old.id])).trial().other_versions == 1
    assert purged(store, ids=[old.id]).memories == 1
    assert Versions(store).history(new.id) == [new]
    third = Versions(store).update(new.id, Change("r", content="third"), limit=LIMIT)
    assert purged(store, ids=[third.id], versions=True).memories == 2
    assert current(store) == []


def test_a_file_is_read_again_after_its_source_was_purged(tmp_path, words_only):
    note = tmp_path / "note.md"
    note.write_text("# Tea\n\nAt four.\n")
    admin.ingest([note], words_only)
    summary = admin.purge(words_only, sources=[str(note)], trial=False)
    assert (summary.memories, summary.files) == (1, 1)
    assert admin.ingest([note], words_only).added == 1


def test_all_of_a_scope_goes_and_no_other_scope_does(settings, store):
    fill(store, "coffee")
    with opened(settings, project="other") as other:
        fill(other, "tea")
        before = current(other)
        summary = purged(store, everything=True)
        assert (summary.memories, summary.mental_models, summary.predictions) == (4, 1, 2)
        assert b"coffee" not in on_disk(store)
        assert current(other) == before
        assert Purge(other, Selection(everything=True)).trial().memories == 4


def test_ids_of_another_scope_are_unknown_and_then_nothing_goes(settings, store):
    mine = told(store, "mine")
    with opened(settings, project="other") as other:
        theirs = told(other, "theirs")
        with pytest.raises(MemoryStoreError, match=theirs.id):
            purged(store, ids=[mine.id, theirs.id])
        assert purged(store, sessions=["none"], sources=["none.md"]).memories == 0
        assert (current(store), current(other)) == (["mine"], ["theirs"])


def test_what_names_nothing_is_told(store):
    told(store, "one", session_id="s", source="a.md")
    summary = purged(store, sessions=["s", "t"], sources=["b.md"])
    assert (summary.memories, summary.sessions, summary.sources) == (1, ["t"], ["b.md"])
    with pytest.raises(MemoryStoreError, match="Nothing was named"):
        Selection()


@sqlite_only
def test_another_program_that_reads_delays_the_erasing_alone_and_is_told_of(settings):
    with opened(settings.model_copy(update={"busy_timeout": 5.0})) as store:
        secret = told(store, "quixotrumbelow")
        reader = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\nc.execute('BEGIN')\n"
                "c.execute('SELECT count(*) FROM memory').fetchall()\nprint('reads', flush=True)\nsys.stdin.read()",
                str(store.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with reader:
            assert reader.stdout.readline() == b"reads\n"
            summary = purged(store, ids=[secret.id])
            assert (summary.done, summary.erased) == (True, False)
            assert "verify --repair" in summary.notice
            assert current(store) == []
            reader.stdin.close()
        problems(store, repair=True)
        assert b"quixotrumbelow" not in on_disk(store)


def test_a_purged_content_can_be_told_anew(store):
    gone = told(store, "tea")
    purged(store, ids=[gone.id])
    again, added = Memories(store).add(NewMemory("tea"), limit=LIMIT)
    assert added
    assert again.id != gone.id
