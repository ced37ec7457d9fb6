"""The graph server that the memory's graph will use."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from neo4j import Driver, GraphDatabase, NotificationMinimumSeverity

pytestmark = pytest.mark.neo4j


@pytest.fixture
def driver(neo4j_url: str) -> Iterator[Driver]:
    parts = urlsplit(neo4j_url)
    auth = (parts.username or "", parts.password or "")
    address = f"bolt://{parts.hostname}:{parts.port}"
    with GraphDatabase.driver(address, auth=auth, notifications_min_severity=NotificationMinimumSeverity.OFF) as driver:
        yield driver
        driver.execute_query("MATCH (n:ProvisionTest) DETACH DELETE n")


def test_a_cypher_round_trip_finds_what_it_wrote(driver: Driver) -> None:
    driver.execute_query(
        "CREATE (:ProvisionTest {name: 'Ariadne'})-[:GAVE {what: 'thread'}]->(:ProvisionTest {name: 'Theseus'})"
    )
    records, _, _ = driver.execute_query(
        "MATCH (a:ProvisionTest)-[gave:GAVE]->(b) RETURN a.name AS giver, gave.what AS gift, b.name AS taker"
    )
    assert [record.data() for record in records] == [{"giver": "Ariadne", "gift": "thread", "taker": "Theseus"}]


def test_a_vector_index_returns_the_nearest_node_first(driver: Driver) -> None:
    driver.execute_query(
        "CREATE VECTOR INDEX provision_test IF NOT EXISTS FOR (n:ProvisionTest) ON n.vector"
        " OPTIONS {indexConfig: {`vector.dimensions`: 3, `vector.similarity_function`: 'cosine'}}"
    )
    try:
        driver.execute_query("CALL db.awaitIndexes(60)")
        for name, vector in {"east": [1.0, 0.0, 0.0], "north": [0.0, 1.0, 0.0]}.items():
            driver.execute_query("CREATE (:ProvisionTest {name: $name, vector: $vector})", name=name, vector=vector)
        records, _, _ = driver.execute_query(
            "CALL db.index.vector.queryNodes('provision_test', 2, [0.1, 0.9, 0.0]) YIELD node RETURN node.name AS name"
        )
        assert [record["name"] for record in records] == ["north", "east"]
    finally:
        driver.execute_query("DROP INDEX provision_test IF EXISTS")
