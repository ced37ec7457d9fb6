"""Parts that the tests of traces share: a store in a temporary folder, and a telemetry that is always shut down."""

import contextlib

import pytest

from observability import Telemetry, TraceSettings, TraceStore


@pytest.fixture
def store_path(tmp_path):
    return tmp_path / "traces" / "trace.db"


@pytest.fixture
def settings(store_path):
    return TraceSettings(path=store_path)


@pytest.fixture
def start_telemetry(store_path):
    """Build telemetries that write one file, with settings of the test's choice."""
    with contextlib.ExitStack() as stack:

        def start(*, service="test", secrets=(), **settings):
            settings = TraceSettings(**{"path": store_path, **settings})
            return stack.enter_context(Telemetry(settings, service=service, secrets=secrets))

        yield start


@pytest.fixture
def telemetry(start_telemetry):
    return start_telemetry()


@pytest.fixture
def open_store(store_path):
    """Open the store for reading, once there is something in it."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(TraceStore(store_path))
