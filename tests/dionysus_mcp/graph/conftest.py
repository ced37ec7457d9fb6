"""Both kinds of graph, for the tests that either must pass."""

import contextlib
import fcntl
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.dionysus_mcp.graph.worlds import Gate, Server, asked_of, reached, working

EMPTY = "MATCH (n:DionysusGraph|Entity|Memory) DETACH DELETE n"


@pytest.fixture
def neo4j_settings(words_only, neo4j_url):
    """Settings with the test run's Neo4j, empty and for one test at a time in all processes."""
    settings = reached(words_only, neo4j_url)
    with held(neo4j_url, fcntl.LOCK_EX):
        asked_of(settings, EMPTY)
        yield settings
        asked_of(settings, EMPTY)


@pytest.fixture
def neo4j_beside_others(words_only, neo4j_url):
    """The same with whatever other tests tell it: each store's graph has a name of its own there."""
    with held(neo4j_url, fcntl.LOCK_SH):
        yield reached(words_only, neo4j_url)


@contextlib.contextmanager
def held(neo4j_url, how):
    with (Path(tempfile.gettempdir()) / f"dionysus-tests-neo4j-{urlsplit(neo4j_url).port}.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield


@pytest.fixture
def world(request, words_only):
    """A store and its worker, whose questions are answered by one or the other; `settle` waits until all is told."""
    settings = words_only if request.param == "store" else request.getfixturevalue("neo4j_beside_others")
    with working(settings) as (store, worker):

        def settle():
            assert worker.wait(60), worker.health()
            assert worker.graph()[1] == request.param

        yield store, worker, settle


@pytest.fixture(params=["cut", pytest.param("crash", marks=pytest.mark.exhaustive)])
def crashing(request, tmp_path, words_only):
    """Settings with a Neo4j that can be taken away and brought back, and the way to do so; it is there, and empty.

    The server of all tests behind a gate, or one of our own, which takes half a minute to start twice.
    """
    with contextlib.ExitStack() as stack:
        if request.param == "cut":
            shared = request.getfixturevalue("neo4j_settings")
            address = urlsplit(shared.graph_url)
            server = Gate(address.hostname, address.port)
        else:
            server = Server(tmp_path / "neo4j")
        stack.callback(server.stop)
        server.start()
        if request.param == "cut":
            yield shared.model_copy(update={"graph_url": server.url}), server
        else:
            yield reached(words_only, server.url), server
