"""The tests that failed by accident once, said at the start of every run until somebody mends or removes them."""

from pathlib import Path

import pytest

_LIST = Path("tests") / "unsteady.txt"


def listed(folder: Path) -> list[str]:
    """Names of the tests that are listed in `tests/unsteady.txt` below this folder."""
    path = folder / _LIST
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name them."""
    return [f"unsteady, to be mended or removed first: {name}" for name in listed(config.rootpath)]
