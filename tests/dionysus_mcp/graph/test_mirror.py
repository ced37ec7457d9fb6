"""Neo4j as a mirror: nothing is lost or doubled, whoever is killed or gone in the meantime."""

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import select

from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.mirror import Mirror
from dionysus_mcp.graph.tables import change, entity, mention, relation
from dionysus_mcp.settings import as_environment
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.versions import Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.graph.worlds import asked_of, deliver_all, end, explore, read, relate, tell, until, working

pytestmark = pytest.mark.neo4j

SYNC = """
from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.mirror import Mirror
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.graph.worlds import deliver_all
settings = MemorySettings()
mirror = Mirror(Store(settings), Bolt(settings))
print("begins", flush=True)
deliver_all(mirror)
"""


def in_store(store):
    """Entities, mentions and relations as the store has them."""
    memory = schema.memory
    with store.read() as connection:
        named = {tuple(row) for row in connection.execute(select(entity.c.id, entity.c.name, entity.c.kind))}
        mentions = select(memory.c.id, mention.c.entity_id).join(memory, memory.c.seq == mention.c.memory_seq)
        mentioned = {tuple(row) for row in connection.execute(mentions)}
        query = select(relation, memory.c.recorded_to.label("forgotten")).select_from(
            relation.outerjoin(memory, memory.c.seq == relation.c.memory_seq)
        )
        related = {
            (
                row.id,
                row.subject_id,
                row.type,
                row.object_id,
                row.recorded_to is not None or row.forgotten is not None,
            )
            for row in connection.execute(query)
        }
    return named, mentioned, related


def in_neo4j(settings):
    """The same as Neo4j has it; lists, so that what is there twice is seen."""
    named = asked_of(settings, "MATCH (e:Entity) RETURN e.id AS a, e.name AS b, e.kind AS c")
    mentioned = asked_of(settings, "MATCH (m:Memory)-[:MENTIONS]->(e:Entity) RETURN m.id AS a, e.id AS b")
    related = asked_of(
        settings,
        "MATCH (s)-[r:RELATES]->(o) "
        "RETURN r.id AS a, s.id AS b, r.type AS c, o.id AS d, r.recorded_to IS NOT NULL AS e",
    )
    found = [[tuple(row.values()) for row in rows] for rows in (named, mentioned, related)]
    for rows in found:
        assert len(rows) == len(set(rows))
    return tuple(set(rows) for rows in found)


def busy(store, start, count):
    """Work of every kind: what comes, what ends, what is purged."""
    for number in range(start, start + count):
        memory, other = tell(
            store, f"Person{number} Miller works at Firm{number % 7} Corp.", f"We saw Ann with Bob{number}."
        )
        relate(store, f"Person{number} Miller", "knows", "Ann")
        if number % 3 == 0:
            Versions(store).forget(memory.id, "wrong")
        if number % 5 == 0:
            end(store, f"Person{number} Miller", "knows", "Ann")
        if number % 4 == 0:
            read(store)
            Purge(store, Selection(ids=[other.id])).run()
    read(store)


def test_a_server_that_crashes_while_it_is_told_and_is_gone_for_a_while_misses_nothing(crashing):
    settings, server = crashing
    with working(settings) as (store, worker):
        busy(store, 0, 3)
        assert worker.wait(60)
        assert in_neo4j(settings) == in_store(store)
        tell(store, *(f"Ann met Person{number} Miller and Bob{number} Smith." for number in range(400)))
        worker.follow()
        until(lambda: worker.mirror.waiting())
        server.stop()
        busy(store, 10, 7)
        until(lambda: worker.health().unavailable_since)
        found = explore(worker, "Ann")
        assert found.answered_by == "store"
        assert "Neo4j is unavailable since" in found.notice
        assert "changes wait for it" in found.notice
        assert {one.subject for one in found.relations} >= {"Person11 Miller", "Person14 Miller"}
        health = worker.health()
        assert health.waiting > 100
        assert "127.0.0.1" in health.detail
        server.start()
        assert worker.wait(120), worker.health()
        assert in_neo4j(settings) == in_store(store)
        assert worker.health().unavailable_since is None
        assert explore(worker, "Ann").answered_by == "neo4j"


def test_a_server_that_was_never_there_gets_all_when_it_comes(words_only, neo4j_settings):
    with working(words_only) as (store, worker):
        busy(store, 0, 6)
        with store.read() as connection:
            assert connection.execute(select(change)).first() is None  # without a mirror nothing is noted for one
    with working(neo4j_settings) as (store, worker):
        assert worker.wait(60)
        assert in_neo4j(neo4j_settings) == in_store(store)


def test_a_neo4j_that_was_emptied_is_filled_anew(neo4j_settings):
    with working(neo4j_settings) as (store, worker):
        busy(store, 0, 4)
        assert worker.wait(60)
        asked_of(neo4j_settings, "MATCH (n:DionysusGraph|Entity|Memory) DETACH DELETE n")
    with working(neo4j_settings) as (store, worker):
        assert worker.wait(60)
        assert in_neo4j(neo4j_settings) == in_store(store)


def test_processes_that_are_killed_while_they_tell_lose_and_double_nothing(neo4j_settings):
    environment = os.environ | as_environment(neo4j_settings)
    store = Store(neo4j_settings)
    mirror = Mirror(store, Bolt(neo4j_settings))
    deliver_all(mirror)
    for round_ in range(3):
        tell(store, *(f"Ann met Person{number} Miller in round {round_}." for number in range(300)))
        read(store)
        process = subprocess.Popen([sys.executable, "-c", SYNC], env=environment, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"begins\n"
        time.sleep(0.3 + 0.2 * round_)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    deliver_all(mirror)
    assert in_neo4j(neo4j_settings) == in_store(store)
    mirror._bolt.close()
    store.close()


def test_two_processes_that_tell_the_same_while_it_changes_leave_the_last_state(neo4j_settings):
    environment = os.environ | as_environment(neo4j_settings)
    store = Store(neo4j_settings)
    mirror = Mirror(store, Bolt(neo4j_settings))
    deliver_all(mirror)
    memories = tell(store, *(f"Person{number} Miller works at Acme Corp." for number in range(120)))
    read(store)
    both = [subprocess.Popen([sys.executable, "-c", SYNC], env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    for number, memory in enumerate(memories):
        if number % 2:
            Versions(store).forget(memory.id, "left")
        elif number % 10 == 0:
            Purge(store, Selection(ids=[memory.id])).run()
        if number % 20 == 0:
            deliver_all(mirror)
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    deliver_all(mirror)
    assert in_neo4j(neo4j_settings) == in_store(store)
    mirror._bolt.close()
    store.close()


def test_a_rebuild_makes_neo4j_equal_again(neo4j_settings):
    with working(neo4j_settings) as (store, worker):
        busy(store, 0, 4)
        assert worker.wait(60)
        asked_of(neo4j_settings, "MATCH (e:Entity {name: 'Ann'}) DETACH DELETE e")
        asked_of(neo4j_settings, "MATCH (a:Entity), (b:Entity) WITH a, b LIMIT 3 CREATE (a)-[:RELATES {id: 'x'}]->(b)")
        assert in_neo4j(neo4j_settings) != in_store(store)
        seen = []
        worker.mirror.rebuild(lambda done, total: seen.append((done, total)))
        assert in_neo4j(neo4j_settings) == in_store(store)
        assert seen[-1][0] == seen[-1][1] > 0


def test_users_of_neo4j_see_labels_constraints_and_indexes(neo4j_settings):
    with working(neo4j_settings) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.", "Bob Miller lives in Berlin.", source="n.md", speaker="Zoe")
        assert worker.wait(60)
        labels = asked_of(neo4j_settings, "MATCH (e:Entity) RETURN e.name AS name, labels(e) AS labels")
        assert {row["name"]: set(row["labels"]) - {"Entity"} for row in labels} == {
            "Ann Miller": {"Person"},
            "Acme Corp": {"Organisation"},
            "Bob Miller": {"Person"},
            "Berlin": {"Place"},
            "Zoe": {"Person"},
        }
        memories = asked_of(neo4j_settings, "MATCH (m:Memory) RETURN m.source AS source, m.speaker AS speaker")
        assert memories == [{"source": "n.md", "speaker": "Zoe"}] * 2
        constraints = {row["name"] for row in asked_of(neo4j_settings, "SHOW CONSTRAINTS YIELD name")}
        assert constraints >= {"dionysus_entity", "dionysus_memory", "dionysus_graph"}
        indexes = {row["name"] for row in asked_of(neo4j_settings, "SHOW INDEXES YIELD name")}
        assert indexes >= {"dionysus_entity_key", "dionysus_entity_name", "dionysus_relation_memory"}


def test_an_entity_is_found_by_an_index_of_neo4j(neo4j_settings):
    from tests.dionysus_mcp.graph.worlds import driver_of

    with working(neo4j_settings) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.")
        assert worker.wait(60)
        with driver_of(neo4j_settings) as driver:
            for query in (
                "MATCH (e:Entity {graph: 'g', key: 'ann'}) RETURN e",
                "UNWIND ['a'] AS id MATCH (e:Entity {graph: 'g', id: id})-[r:RELATES]-() RETURN r",
                "UNWIND ['a'] AS id MATCH (s)-[r:RELATES {graph: 'g', memory_id: id}]->(o) RETURN r",
            ):
                plan = str(driver.execute_query(f"EXPLAIN {query}").summary.plan)
                assert "IndexSeek" in plan, plan
                assert "LabelScan" not in plan, plan


@pytest.mark.parametrize(("change_", "words"), [({"graph_user": "nobody"}, "unauthorized"), ({}, "refused|connect")])
def test_a_server_that_refuses_is_told_and_memory_goes_on(neo4j_settings, change_, words):
    settings = neo4j_settings.model_copy(update=change_ or {"graph_url": "bolt://127.0.0.1:1"})
    with working(settings) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.")
        until(lambda: worker.health().unavailable_since)
        assert explore(worker, "Ann Miller").answered_by == "store"
        assert len(explore(worker, "Ann Miller").relations) == 1
        import re

        assert re.search(words, worker.health().detail, re.IGNORECASE), worker.health().detail
