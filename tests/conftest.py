"""What every test has: the real parts as fixtures, and no part skipped in silence (`tests/support/parts.py`)."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.parts"]

# Machines are shared: no example is timed. In CI the same examples every time, so that a red run is about the change.
settings.register_profile(
    "house", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")


class _FailuresAtOnce:
    """Names each failure as it comes: a run that is stopped never gets to its summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.line(f"{report.nodeid} failed in its {report.when}", red=True)


@pytest.hookimpl(trylast=True)  # after the reporter of the terminal is there
def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it starts in the background ignore Ctrl-C, and so every program that a test starts and stops.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_FailuresAtOnce(terminal))
