"""What every test has: the real parts as fixtures, and no part skipped in silence (`tests/support/parts.py`)."""

import signal

pytest_plugins = ["tests.support.breadth", "tests.support.parts", "tests.support.failures", "tests.support.unsteady"]


def pytest_configure() -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it starts in the background ignore Ctrl-C, and so every program that a test starts and stops.
        signal.signal(signal.SIGINT, signal.default_int_handler)
