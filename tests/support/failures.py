"""Names each failure as it comes: a run that is stopped never gets to its summary.

Where `scripts/run_tests.py` asks for it, the names are written to a file too, for a second look at them.
"""

import os
from pathlib import Path

import pytest


class _FailuresAtOnce:
    def __init__(self, terminal: pytest.TerminalReporter, file: str | None) -> None:
        self._terminal = terminal
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.line(f"{report.nodeid} failed in its {report.when}", red=True)
            if self._file:
                with Path(self._file).open("a", encoding="utf-8") as file:
                    file.write(f"{report.nodeid}\n")


@pytest.hookimpl(trylast=True)  # after the reporter of the terminal is there
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        # Taken out of the environment, since failures of a pytest that a test starts are none of this run.
        config.pluginmanager.register(_FailuresAtOnce(terminal, os.environ.pop("TEST_FAILURES_FILE", None)))
