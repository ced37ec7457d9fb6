"""The graph in the background: nothing waits for it, nothing is left out, nothing is done twice."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dionysus_mcp import admin
from dionysus_mcp.errors import GraphUnavailable, MemoryStoreError
from dionysus_mcp.graph import administration
from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.exploring import Asked
from dionysus_mcp.graph.sql import SqlGraph
from dionysus_mcp.graph.tables import mention, relation, seen
from dionysus_mcp.graph.worker import GraphReader, GraphWorker
from dionysus_mcp.settings import as_environment
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import picked_in_scope
from dionysus_mcp.store.versions import Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH, sqlite_only
from tests.dionysus_mcp.graph.worlds import end, explore, read, relate, said, tell, working
from tests.support.clock import ManualClock

ENGINES = BOTH

READ = """
from dionysus_mcp.graph.worker import GraphReader
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
reader = GraphReader(Store(MemorySettings()))
print("begins", flush=True)
while reader.read_some(8):
    pass
"""
WORKS = {("Ann Miller", "works_at", "Acme Corp")}


def rows(store, table):
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_what_was_stored_while_nobody_read_is_read_by_the_next_one(words_only):
    store = Store(words_only)
    tell(store, "Ann Miller works at Acme Corp.")
    store.close()
    with working(words_only) as (_, worker):
        assert worker.wait(30)
        assert said(explore(worker, "Ann Miller")) == WORKS


def test_what_was_stored_just_now_is_known_to_the_next_question(words_only):
    with working(words_only) as (store, worker):
        for number in range(20):
            tell(store, f"Person{number} Miller works at Acme Corp.")
            assert len(explore(worker, f"Person{number} Miller").relations) == 1


@sqlite_only
def test_storing_waits_for_nobody_who_reads(words_only, monkeypatch):
    reads, done, has_read = threading.Event(), threading.Event(), threading.Event()

    def slow(_, count=64):
        reads.set()
        done.wait(60)
        has_read.set()
        return 0

    monkeypatch.setattr(GraphReader, "read_some", slow)
    with working(words_only) as (store, worker):
        assert reads.wait(60)
        tell(store, "Ann Miller works at Acme Corp.")
        worker.follow()
        assert not has_read.is_set()
        done.set()


def test_readers_that_are_killed_leave_nothing_half_read(words_only):
    store = Store(words_only)
    tell(store, *(f"Person{number} Miller works at Firm{number} Corp. We met Bob." for number in range(400)))
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", READ], env=os.environ | as_environment(words_only), stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"begins\n"
        time.sleep(0.05 * round_)
        process.kill()
        process.wait()
        process.stdout.close()
        with store.read() as connection:
            whole = select(func.count()).select_from(seen.join(relation, relation.c.memory_seq == seen.c.memory_seq))
            assert connection.execute(whole).scalar_one() == rows(store, seen)
    read(store)
    assert (rows(store, seen), rows(store, relation), rows(store, mention)) == (400, 400, 1200)
    assert admin.verify(words_only).sound
    store.close()


def test_two_readers_at_once_do_nothing_twice(words_only):
    store = Store(words_only)
    tell(store, *(f"Person{number} Miller works at Acme Corp." for number in range(200)))
    environment = os.environ | as_environment(words_only)
    both = [subprocess.Popen([sys.executable, "-c", READ], env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (rows(store, seen), rows(store, relation), rows(store, mention)) == (200, 200, 400)
    store.close()


@sqlite_only
def test_no_byte_of_a_purged_name_is_left_in_the_file(words_only):
    with working(words_only) as (store, worker):
        (gone,) = tell(store, "Ann Quetzalcoatl works at Xanadu Corp.")
        tell(store, "Bob lives in Berlin.")
        assert worker.wait(30)
        assert b"quetzalcoatl" in store.path.read_bytes() + store.path.with_name("memory.db-wal").read_bytes()
        assert Purge(store, Selection(ids=[gone.id])).run().erased
    for file in words_only.url, words_only.url + "-wal":
        path = file.removeprefix("sqlite:///")
        content = Path(path).read_bytes().lower() if Path(path).exists() else b""
        assert b"quetzalcoatl" not in content
        assert b"xanadu" not in content


def test_the_graph_can_be_left_to_what_is_told(words_only):
    with working(words_only, graph="none") as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.")
        relate(store, "Bob", "knows", "Eve")
        assert worker.wait(5)
        assert explore(worker, "Ann Miller").entities == []
        assert said(explore(worker, "Bob")) == {("Bob", "knows", "Eve")}


def test_reading_again_finds_the_same_and_leaves_what_was_told_or_ended(words_only):
    with working(words_only) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.", "Bob lives in Berlin.", "Zoe lives in Rome.")
        relate(store, "Zoe", "knows", "Eve")
        assert worker.wait(30)
        end(store, "Bob", "lives_in", "Berlin")
        before = SqlGraph(store).counts()
    seen_steps = []
    done = administration.rebuild(words_only, seen_steps.append, reread=True)
    assert (done.read, done.told) == (3, 0)
    assert seen_steps
    with working(words_only) as (store, worker):
        assert SqlGraph(store).counts() == before
        assert said(explore(worker, "Ann Miller")) == WORKS
        assert said(explore(worker, "Zoe")) == {("Zoe", "knows", "Eve"), ("Zoe", "lives_in", "Rome")}
        assert said(explore(worker, "Bob")) == set()


@sqlite_only
def test_a_store_of_before_is_read_when_it_is_opened(words_only):
    from tests.dionysus_mcp.memories_of import structure

    store = Store(words_only)
    path = store.path
    tell(store, "Ann Miller works at Acme Corp.")
    store.close()
    tables = structure(path)[0]
    assert {"graph_entity", "graph_mention", "graph_relation", "graph_seen", "graph_change", "graph_mirror"} <= set(
        tables
    )
    found = administration.explore(words_only, Asked("Ann Miller"), 1000, None)
    assert said(found) == WORKS


def test_how_large_it_is_is_counted(words_only):
    store = Store(words_only)
    tell(store, "Ann Miller works at Acme Corp.")
    read(store)
    tell(store, "Bob Smith works at Acme Corp.")
    counted = admin.stats(words_only).graph
    assert (counted.entities, counted.mentions, counted.relations, counted.unread) == (2, 2, 1, 1)
    store.close()


@pytest.mark.neo4j
@sqlite_only
def test_a_mirror_that_differs_is_found_by_verify(neo4j_settings):
    from tests.dionysus_mcp.graph.worlds import asked_of

    with working(neo4j_settings) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.")
        assert worker.wait(60)
        assert admin.verify(neo4j_settings).sound
        assert admin.stats(neo4j_settings).graph.neo4j == {"entities": 2, "mentions": 2, "relations": 1}
        asked_of(neo4j_settings, "MATCH (:Entity)-[r:RELATES]->() DELETE r")
        found = admin.verify(neo4j_settings)
        assert not found.sound
        assert "graph rebuild" in found.checks[-1].advice
        administration.rebuild(neo4j_settings, None, reread=False)
        assert admin.verify(neo4j_settings).sound


@sqlite_only
def test_a_hundred_thousand_memories_are_explored_by_indexes(words_only):
    """Synthetic: an entity that most memories mention, thousands that few do."""
    store = Store(words_only)
    memory = schema.memory
    count = 100_000
    _fill(store, count)
    worker = GraphWorker(store, words_only)
    started = time.monotonic()
    for name, depth in (("Ann", 1), ("Ann", 2), ("Person 77", 2)):
        found = explore(worker, name, depth=depth)
        assert len(found.entities) > 5
    assert time.monotonic() - started < 9
    graph = SqlGraph(store)
    with store.read() as connection:
        for query in (
            graph._latest("e-0", None, 200, memory.c.seq),
            graph._entities().where(graph._lives(None)).where(schema.metadata.tables["graph_entity"].c.key == "ann"),
            select(relation).where(relation.c.subject_id == "e-0", relation.c.type == "knows"),
            select(memory.c.id).where(picked_in_scope(store.scope), memory.c.seq.in_([1, 2])),
        ):
            text = str(query.compile(connection.engine, compile_kwargs={"literal_binds": True}))
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
            assert not [line for line in plan if line.startswith("SCAN") and "CONSTANT" not in line], plan
    store.close()


def _fill(store, count):
    from datetime import UTC, datetime

    from sqlalchemy import insert

    from dionysus_mcp.graph import names
    from dionysus_mcp.graph.tables import entity
    from dionysus_mcp.store.memories import NewMemory, row_for

    now = datetime.now(UTC)
    called = ["Ann", *(f"Person {number}" for number in range(5000))]
    ids = [names.entity_id(store.scope, names.key_of(name)) for name in called]

    def work(connection):
        for start in range(0, count, 10_000):
            numbers = range(start, min(count, start + 10_000))
            told = [row_for(NewMemory(f"Note {number} of Ann."), store.scope, now) for number in numbers]
            connection.execute(insert(schema.memory), told)
        scope = {"tenant": store.scope.tenant, "project": store.scope.project}
        entities = [
            {
                **scope,
                "id": key,
                "name": name,
                "key": names.key_of(name),
                "head": name.split()[0].lower(),
                "kind": "person",
            }
            for key, name in zip(ids, called, strict=True)
        ]
        connection.execute(insert(entity), entities)
        first = connection.execute(select(func.min(schema.memory.c.seq))).scalar_one()
        mentions = [
            {"entity_id": one, "memory_seq": first + number, "how": "name"}
            for number in range(count)
            for one in (ids[0], ids[1 + number % 5000])
        ]
        connection.execute(insert(mention), mentions)
        connection.execute(
            insert(seen), [{"memory_seq": first + number, "reader": "patterns"} for number in range(count)]
        )

    store.write(work)


def test_a_restart_in_the_middle_of_ends_keeps_them(words_only):
    with working(words_only) as (store, worker):
        (memory,) = tell(store, "Ann Miller works at Acme Corp.")
        assert worker.wait(30)
    store = Store(words_only)
    Versions(store).forget(memory.id, "wrong")
    store.close()
    with working(words_only) as (_, worker):
        assert explore(worker, "Ann Miller").entities == []


def test_an_export_carries_what_was_told_and_ended(words_only):
    with working(words_only) as (store, worker):
        (memory,) = tell(store, "Ann Miller works at Acme Corp. We met Bob.")
        relate(store, "Ann Miller", "knows", "Bob", memory_id=memory.id, told_by="laptop")
        relate(store, "Zoe", "knows", "Eve", confidence=0.5)
        relate(store, "Zoe", "knows", "Kim")
        assert worker.wait(30)
        end(store, "Ann Miller", "works_at", "Acme Corp")
        end(store, "Zoe", "knows", "Kim")
    lines = [line.encode() for line in admin.export_lines(words_only)]
    other = words_only.model_copy(update={"project": "copy"})
    assert admin.import_lines(lines, other).added == {"memory": 1, "relation": 4}
    assert admin.import_lines(lines, other).added == {}
    with working(other) as (store, worker):
        assert worker.wait(30)
        assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "knows", "Bob")}
        assert explore(worker, "Ann Miller").relations[0].evidence[0].told_by == "laptop"
        assert said(explore(worker, "Zoe")) == {("Zoe", "knows", "Eve")}
        assert end(store, "Zoe", "knows", "Kim").ended_at is not None
    again = [line for line in admin.export_lines(other) if '"relation"' in line]
    assert len(again) == 5  # four, and the end that counts them


def test_a_relation_that_cannot_be_is_refused_with_its_line(words_only):
    with working(words_only) as (store, _):
        relate(store, "Zoe", "knows", "Eve")
    lines = [line.replace('"Eve"', '"zoe"').encode() for line in admin.export_lines(words_only)]
    other = words_only.model_copy(update={"project": "copy"})
    with pytest.raises(MemoryStoreError, match="Line 2 .* related to itself"):
        admin.import_lines(lines, other)


@sqlite_only
def test_a_neo4j_that_is_away_is_asked_again_after_pauses_that_grow(words_only):
    clock = ManualClock()
    bolt = Bolt(words_only.model_copy(update={"graph_url": "bolt://127.0.0.1:1"}), clock=clock)
    assert bolt.is_due()
    for pause in (1, 2, 4, 8, 16, 30, 30):
        with pytest.raises(GraphUnavailable):
            bolt.read("RETURN 1")
        clock.advance(pause - 0.5)
        assert not bolt.is_due()
        clock.advance(0.5)
        assert bolt.is_due()
    bolt.close()
