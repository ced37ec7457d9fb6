"""What every test has: the real parts as fixtures, and no part skipped in silence (`tests/support/parts.py`)."""

import os
import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.parts", "tests.support.failures"]

# Machines are shared: no example is timed. In CI the same examples every time, so that a red run is about the change.
settings.register_profile(
    "house", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it starts in the background ignore Ctrl-C, and so every program that a test starts and stops.
        signal.signal(signal.SIGINT, signal.default_int_handler)
