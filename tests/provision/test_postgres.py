"""The database that a memory grows into: PostgreSQL with pgvector."""

from collections.abc import Iterator

import psycopg
import pytest

pytestmark = pytest.mark.postgres


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url) as connection:
        yield connection
        connection.rollback()  # the server serves every test of the run: leave nothing


def test_the_server_is_recent_and_has_pgvector(connection: psycopg.Connection) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    (version,) = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    assert connection.info.server_version >= 180_000
    assert tuple(map(int, version.split(".")[:2])) >= (0, 8)


def test_an_hnsw_index_over_halfvec_returns_the_nearest_neighbours_in_order(connection: psycopg.Connection) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute("CREATE TEMPORARY TABLE memory (id int PRIMARY KEY, vector halfvec(3))")
    connection.execute("CREATE INDEX near ON memory USING hnsw (vector halfvec_cosine_ops) WITH (m = 16)")
    rows = {1: "[1,0,0]", 2: "[0,1,0]", 3: "[0,0.8,0.6]"}
    for number, vector in rows.items():
        connection.execute("INSERT INTO memory VALUES (%s, %s)", (number, vector))
    connection.execute("SET LOCAL enable_seqscan = off")
    query = "SELECT id FROM memory ORDER BY vector <=> '[0,1,0.1]' LIMIT 2"
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {query}"))
    assert "near" in plan
    assert connection.execute(query).fetchall() == [(2,), (3,)]
