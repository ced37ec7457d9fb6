"""A real Neo4j 5.26 community server: its jars from Maven Central, a throw-away home, a free loopback port."""

import hashlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision.host import PartUnavailableError, accepts_connections, apt_install, cache, free_port, run, wait_until
from provision.tether import tethered

_POM = Path(__file__).with_name("neo4j.pom.xml")
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_BY_HAND = (
    "Neo4j needs Java 17 or 21 and Maven: on macOS `brew install openjdk@17 maven`, elsewhere your package manager"
)
_CONFIGURATION = """\
server.bolt.listen_address=127.0.0.1:{port}
server.http.enabled=false
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
server.memory.pagecache.size=64m
"""
# Netty reaches into these packages; without them the server starts and then refuses connections.
_OPENED = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")


def provide() -> None:
    """Java, Maven where something is to be fetched, and the server's jars in the cache."""
    _provide_java()
    if _jars().exists():
        return
    if shutil.which("mvn") is None:
        apt_install("maven", otherwise=_BY_HAND)
    part = _jars().with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    run("mvn", "-B", "-q", "-C", "-f", _POM, f"{_PLUGIN}:copy-dependencies", f"-DoutputDirectory={part}")
    part.rename(_jars())  # whole or not at all


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield the Bolt address of a fresh, empty server, with a password of its own."""
    with tempfile.TemporaryDirectory(prefix="dionysus-neo4j-", ignore_cleanup_errors=True) as folder:
        home, port = Path(folder), free_port()
        (home / "conf").mkdir()
        (home / "conf/neo4j.conf").write_text(_CONFIGURATION.format(port=port))
        log = cache() / "neo4j.log"
        with tethered(_command(home), log, grace=0) as server:
            password = secrets.token_urlsafe(12)
            wait_until(lambda: _takes_over(port, password), 120, "Neo4j", log, alive=lambda: server.poll() is None)
            yield {"TEST_NEO4J_URL": f"bolt://neo4j:{password}@127.0.0.1:{port}"}


def _command(home: Path) -> list[str]:
    opened = [f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED]
    entry = ["org.neo4j.server.CommunityEntryPoint", f"--home-dir={home}", f"--config-dir={home}/conf"]
    return ["java", "-Xmx512m", *opened, "-cp", f"{_jars()}/*", *entry]


def _takes_over(port: int, password: str) -> bool:
    """Set the first password; true once the server answers. A new server takes commands only after that."""
    from neo4j import GraphDatabase
    from neo4j.exceptions import DriverError, Neo4jError

    if not accepts_connections(port):
        return False  # asking with the driver already would have it log its own retries
    try:
        with GraphDatabase.driver(f"bolt://127.0.0.1:{port}", auth=("neo4j", "neo4j")) as driver:
            driver.execute_query(
                "ALTER CURRENT USER SET PASSWORD FROM 'neo4j' TO $new", new=password, database_="system"
            )
    except (DriverError, Neo4jError, OSError):
        return False
    return True


def _provide_java() -> None:
    if _java_version() >= 17:
        return
    try:
        apt_install("openjdk-17-jre-headless", otherwise=_BY_HAND)
    except PartUnavailableError as error:
        if _BY_HAND in str(error):
            raise
        apt_install("openjdk-21-jre-headless", otherwise=_BY_HAND)  # Debian 13 has no 17 any more
    if _java_version() < 17:
        raise PartUnavailableError(f"`java` is still version {_java_version()} after installing a newer one; see PATH")


def _java_version() -> int:
    try:
        found = re.search(r'version "(\d+)', run("java", "-version", timeout=60))
    except PartUnavailableError:
        return 0
    return int(found.group(1)) if found else 0


def _jars() -> Path:
    return cache() / f"neo4j-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}"
