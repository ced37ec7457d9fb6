"""A memory of its own for every test, and the real embedding model, loaded once."""

import pytest

from dionysus_mcp.embedding import MiniLm
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.sqlite import Store
from observability import TraceSettings


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


@pytest.fixture
def settings(tmp_path):
    return MemorySettings(url=f"sqlite:///{tmp_path / 'memory.db'}")


@pytest.fixture
def words_only(tmp_path):
    return MemorySettings(url=f"sqlite:///{tmp_path / 'memory.db'}", embedder="none")


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
