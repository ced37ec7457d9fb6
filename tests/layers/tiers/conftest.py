"""What tests of the tiers share: an event loop, a lifeline, and tiers over a scripted server."""

from contextlib import contextmanager

import pytest
from smolagents.models import ChatMessage, MessageRole

from layers.run import Lifeline, LoopThread
from layers.tiers.base import ChatRequest
from layers.tiers.registry import Tiers
from layers.tiers.settings import ProviderKeys, TierSettings

NO_KEYS = ProviderKeys.model_construct(anthropic_api_key=None, openai_api_key=None)


@pytest.fixture(autouse=True)
def _home_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("DIONYSUS_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _no_keys_of_the_developer(monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def loop():
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture
def lifeline():
    line = Lifeline()
    yield line
    line.close()


@pytest.fixture
def tier(loop):
    """Return a function that makes a tier's model: `tier(server, ...)` or `tier([server_a, server_b], ...)`."""
    made = []

    def make(servers, name="fast", **settings):
        servers = servers if isinstance(servers, list) else [servers]
        urls = [server if isinstance(server, str) else server.url for server in servers]
        models = [
            {"model": f"openai/model-{letter}", "api_base": url, "api_key": f"sk-secret-{letter}"}
            for letter, url in zip("abcd", urls, strict=False)
        ]
        tiers = Tiers({name: TierSettings.model_validate({"models": models, **settings})}, loop, keys=NO_KEYS)
        made.append(tiers)
        return tiers.model(name)

    yield make
    for tiers in made:
        tiers.close()


@pytest.fixture
def tiers(loop):
    """Return a function that makes `Tiers` of settings given as plain tables, closed after the test."""
    made = []

    def make(keys=NO_KEYS, **tables):
        settings = {
            name: TierSettings.model_validate(table) if isinstance(table, dict) else table
            for name, table in tables.items()
        }
        made.append(Tiers(settings, loop, keys=keys))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def request_of():
    """Return a function that makes a request of one user message, or of (role, content) pairs."""

    def make(*said, **options):
        pairs = [("user", text) if isinstance(text, str) else text for text in said or ("hello",)]
        return ChatRequest([ChatMessage(MessageRole(role), content) for role, content in pairs], **options)

    return make


@pytest.fixture
def within():
    """Return a context manager that fails if its block takes longer than so many seconds."""
    import time

    @contextmanager
    def limit(seconds):
        started = time.monotonic()
        yield
        assert time.monotonic() - started < seconds

    return limit


@pytest.fixture
def offline_model():
    """Return the class of the offline tier's model."""
    from layers.tiers.offline import OfflineModel

    return OfflineModel


@pytest.fixture(scope="session")
def bundled_encoding():
    """Return a function that loads an OpenAI tokenizer from the copies in LiteLLM's package, without network."""
    from layers.tiers.gateway import Gateway

    Gateway().warm().result(120)
    from litellm.litellm_core_utils import default_encoding  # noqa: F401 - points tiktoken to those copies
    from tiktoken import get_encoding

    return get_encoding
