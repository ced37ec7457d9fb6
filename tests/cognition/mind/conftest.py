"""A mind over a small corpus, made once a module: the real memory server, sandbox, trace and offline tier."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cognition import Mind

NOTES = """\
# Queue
We moved the order queue to Kestrel in March 2025 because RabbitFlow lost messages under load.
Kestrel keeps every message on three nodes.

# People
Ines Duarte owns the payment service. Tomasz Brandt owns the search service.

# Limits
An upload may have at most 40 megabytes. The nightly export starts at 02:15.
"""


@pytest.fixture(scope="module", autouse=True)
def warmed_up(warm: Callable[[], object]) -> None:
    """The process that forks memory servers is there before a test counts what a mind leaves behind."""
    warm()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with its own memory and trace, and a file of notes."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "notes.md").write_text(NOTES)
    return folder


@pytest.fixture(scope="module")
def make_mind(home: Path) -> Callable[..., Mind]:
    """Make a mind over `home`; keywords as for `Mind`."""

    def make(**keywords: Any) -> Mind:
        given = {"memory": f"sqlite:///{home / 'memory.db'}", "trace": {"path": home / "trace.db"}, "sandbox": "monty"}
        return Mind(**{"tier": "offline", **given, **keywords})

    return make


@pytest.fixture(scope="module")
def mind(home: Path, make_mind: Callable[..., Mind]) -> Iterator[Mind]:
    """An open mind in the offline tier that has read the notes."""
    with make_mind() as opened:
        opened.remember(home / "notes.md")
        yield opened
