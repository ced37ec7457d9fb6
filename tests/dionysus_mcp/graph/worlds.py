"""Small worlds for tests of the graph, and Neo4j servers that can be stopped and started again."""

import contextlib
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from neo4j import GraphDatabase

from dionysus_mcp.errors import GraphUnavailable
from dionysus_mcp.graph.exploring import Asked
from dionysus_mcp.graph.names import checked_name
from dionysus_mcp.graph.reading import Named
from dionysus_mcp.graph.relating import Relations
from dionysus_mcp.graph.worker import GraphWorker
from dionysus_mcp.graph.writing import NewRelation
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))


def tell(store, *contents, **rest):
    """Store memories, in one transaction, and return them."""
    new = [NewMemory(content, **rest) for content in contents]
    store.write(lambda connection: add_in(connection, store.scope, new))
    hashes = [one.hash for one in new]
    held = {NewMemory(one.content, **rest).hash: one for one in Memories(store).recent(2 * len(new) + 10)}
    return [held[each] for each in hashes]


def relate(store, subject, relation, object_, **rest):
    ends = [Named(checked_name("name", name), "thing", "told") for name in (subject, object_)]
    return Relations(store).relate(NewRelation(ends[0], relation, ends[1], **rest))


def end(store, subject, relation, object_, reason="it changed"):
    return Relations(store).end(
        NewRelation(Named(subject, "thing", "told"), relation, Named(object_, "thing", "told")), reason
    )


def read(store):
    """Have all memories read by a worker whose thread doesn't run."""
    from dionysus_mcp.graph.worker import GraphReader

    reader = GraphReader(store)
    while reader.read_some():
        pass


@contextlib.contextmanager
def working(settings, **changed):
    """A store with its worker, as a server has both."""
    chosen = settings.model_copy(update=changed)
    with contextlib.closing(Store(chosen)) as store:
        worker = GraphWorker(store, chosen)
        worker.start()
        try:
            yield store, worker
        finally:
            worker.close()


def said(found):
    """The relations of an exploration as triples."""
    return {(one.subject, one.type, one.object) for one in found.relations}


def explore(worker, name=None, budget=20_000, **asked):
    return worker.explore(Asked(name, **asked), budget)


def reached(settings, url):
    """The settings for a Neo4j whose address has user and password in it, as tests get it."""
    from pydantic import SecretStr

    parts = urlsplit(url)
    return settings.model_copy(
        update={
            "graph_url": f"bolt://{parts.hostname}:{parts.port}",
            "graph_user": parts.username,
            "graph_password": SecretStr(parts.password),
        }
    )


@contextlib.contextmanager
def driver_of(settings):
    auth = (settings.graph_user, settings.graph_password.get_secret_value())
    with GraphDatabase.driver(settings.graph_url, auth=auth) as driver:
        yield driver


def asked_of(settings, query, **parameters):
    with driver_of(settings) as driver:
        return [record.data() for record in driver.execute_query(query, parameters).records]


def until(true, seconds=60.0):
    """Wait until something is true, and fail if it doesn't become so."""
    end_ = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end_, "it did not come true in time"
        time.sleep(0.05)


def deliver_all(mirror, seconds=60.0):
    """Tell Neo4j all that waits, again where it missed the few seconds that it has to answer, as a server does."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            if not mirror.deliver():
                return
        except GraphUnavailable:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.5)


class Gate:
    """A way to a server that can be cut and opened again: to whoever goes it, the server died in the middle."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._port = 0
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []

    def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        self.url = f"bolt://127.0.0.1:{self._port}"
        self._open = [listening]
        threading.Thread(target=self._let_in, args=(listening,), daemon=True).start()

    def stop(self) -> None:
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            self._open = []

    def _let_in(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while True:
                ends = [listening.accept()[0], socket.create_connection(self._to)]
                with self._lock:
                    if not self._open:
                        for one in ends:
                            one.close()
                        return
                    self._open += ends
                for one, other in (ends, reversed(ends)):
                    threading.Thread(target=_carry, args=(one, other), daemon=True).start()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while said := one.recv(65536):
            other.sendall(said)
    for end_ in (one, other):
        with contextlib.suppress(OSError):
            end_.shutdown(socket.SHUT_RDWR)


class Server:
    """A Neo4j server of our own, with a folder that outlives it: it can be killed and started again."""

    def __init__(self, home: Path) -> None:
        from provision.host import free_port

        self.home, self.port = home, free_port()
        self.password = "a-test-password"
        (home / "conf").mkdir(parents=True)
        self._stack = contextlib.ExitStack()
        self.url = f"bolt://neo4j:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        from provision import neo4j_server
        from provision.host import wait_until
        from provision.tether import tethered

        neo4j_server.provide()
        (self.home / "conf/neo4j.conf").write_text(neo4j_server._CONFIGURATION.format(port=self.port))
        log = self.home / "log"
        process = self._stack.enter_context(tethered(neo4j_server._command(self.home), log, grace=0))
        wait_until(self._answers, 120, "Neo4j", log, alive=lambda: process.poll() is None)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        self._stack.close()

    def _answers(self) -> bool:
        from neo4j.exceptions import DriverError, Neo4jError
        from provision import neo4j_server
        from provision.host import accepts_connections

        if not accepts_connections(self.port):
            return False
        if neo4j_server._takes_over(self.port, self.password):
            return True
        try:
            with GraphDatabase.driver(f"bolt://127.0.0.1:{self.port}", auth=("neo4j", self.password)) as driver:
                driver.verify_connectivity()
        except (DriverError, Neo4jError, OSError):
            return False
        return True
