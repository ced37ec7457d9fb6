"""A memory of its own for every test, and the real embedding model, loaded once."""

import contextlib

import pytest

from dionysus_mcp.embedding import MiniLm
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from observability import TraceSettings
from tests.dionysus_mcp.engines import Databases, parametrized


@pytest.fixture
def anyio_backend():
    """Asynchronous tests run on asyncio, as the client does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nothing of the developer's own settings or data reaches a test."""
    monkeypatch.setenv("DIONYSUS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return tmp_path / "home"


def pytest_generate_tests(metafunc):
    parametrized(metafunc)


@pytest.fixture
def engine(request):
    """Which database keeps the store of this test: "sqlite", or "postgres"."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(scope="session")
def databases(postgres_url):
    """Databases on the test server, each with an empty store."""
    made = Databases(postgres_url)
    yield made
    made.close()


@pytest.fixture
def address(databases):
    """Of an empty store in PostgreSQL."""
    with databases.fresh() as fresh:
        yield fresh


@pytest.fixture
def server(address):
    """That store, open."""
    with contextlib.closing(Store(MemorySettings(url=address))) as opened:
        yield opened


@pytest.fixture
def url(engine, tmp_path, request):
    """The address of a store of this test's own."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path / 'memory.db'}"
        return
    with request.getfixturevalue("databases").fresh() as fresh:
        yield fresh


@pytest.fixture
def settings(url):
    return MemorySettings(url=url)


@pytest.fixture
def words_only(url):
    return MemorySettings(url=url, embedder="none")


@pytest.fixture
def trace(tmp_path):
    return TraceSettings(path=tmp_path / "trace.db")


@pytest.fixture
def store(settings):
    opened = Store(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def model():
    return MiniLm.load(threads=1)
