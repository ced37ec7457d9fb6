"""The real parts as fixtures, found by the environment that `scripts/run_tests.py` sets, and none missing in silence.

A test that is marked with a part's name needs that part. Without it the test fails and says what to do, unless the part
was named in `ALLOW_MISSING`: then its tests are deselected, and the summary tells how many that left out.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

VARIABLES = {
    "docker": "DOCKER_HOST",
    "gvisor": "TEST_GVISOR",
    "neo4j": "TEST_NEO4J_URL",
    "postgres": "TEST_POSTGRES_URL",
    "browser": "TEST_CHROMIUM",
    "typescript": "TEST_TYPESCRIPT",
}
_LEFT_OUT = pytest.StashKey[Counter[str]]()


def allowed_missing() -> frozenset[str]:
    """The parts that the caller of this run agreed to do without, and that couldn't be had."""
    return frozenset(os.environ.get("TEST_PARTS_MISSING", "").split())


def found(part: str) -> str:
    """The address or path of a part; fails the test, with what to do, if it isn't there."""
    value = os.environ.get(VARIABLES[part])
    if not value:
        pytest.fail(
            f"this test needs the part '{part}', and {VARIABLES[part]} isn't set. `make test` provisions all parts;"
            f" for this one alone: .venv/bin/python scripts/run_tests.py --parts {part} -m {part}",
            pytrace=False,
        )
    return value


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """Address of a Docker engine that has the image of `sandbox_image`."""
    return found("docker")


@pytest.fixture(scope="session")
def sandbox_image(docker_engine: str) -> str:
    """Name and tag of the image that sandboxes are made from."""
    return os.environ.get("TEST_SANDBOX_IMAGE", "dionysus-sandbox:latest")


@pytest.fixture(scope="session")
def gvisor_settings() -> Mapping[str, str]:
    """Settings of sandboxes that run under gVisor: `engine`, `runtime` and `image`."""
    engine = found("gvisor")
    runtime, image = os.environ["TEST_GVISOR_RUNTIME"], os.environ["TEST_GVISOR_IMAGE"]
    return {"engine": engine, "runtime": runtime, "image": image}


@pytest.fixture(scope="session")
def neo4j_url() -> str:
    """`bolt://user:password@host:port` of a Neo4j server that belongs to this test run."""
    return found("neo4j")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """`postgresql://…` of a server with pgvector that belongs to this test run, for a superuser."""
    return found("postgres")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of a Chromium or Chrome that runs headless."""
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)  # ms; a page on a busy machine shows late what it will show
    return found("browser")


@pytest.fixture(scope="session")
def typescript_folder() -> str:
    """Folder with the official TypeScript client of MCP in its `node_modules`."""
    return found("typescript")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test whose part isn't there, also when it asks for no fixture."""
    for part in _parts_of(item):
        found(part)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of parts that are allowed to be missing, and count them."""
    missing = allowed_missing()
    left_out = [item for item in items if missing.intersection(_parts_of(item))]
    if not left_out:
        return
    config.stash[_LEFT_OUT] = Counter(part for item in left_out for part in _parts_of(item) if part in missing)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist hands its count to the one process that prints the summary."""
    worker = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["left_out"] = dict(session.config.stash.get(_LEFT_OUT, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take over a worker's count; every worker collects the same tests, so one of them is enough."""
    counts = getattr(node, "workeroutput", {}).get("left_out")
    if counts:
        node.config.stash[_LEFT_OUT] = Counter(counts)  # pyright: ignore[reportAttributeAccessIssue]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what this run did not test."""
    missing = allowed_missing()
    if not missing:
        return
    left_out = config.stash.get(_LEFT_OUT, Counter())
    terminalreporter.section("PARTS MISSING, tests left out", sep="!", red=True, bold=True)
    for part in sorted(missing):
        terminalreporter.line(f"{part}: {left_out[part]} tests did not run (allowed by ALLOW_MISSING)")


def _parts_of(item: pytest.Item) -> Iterable[str]:
    return [part for part in VARIABLES if item.get_closest_marker(part)]
