"""All outcomes on a corpus, asked once for all test modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.layers.offline.scoring import Outcome, ask_all

Asked = Callable[[str], list[Outcome]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the memories of the corpora are kept between two minds."""
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture(scope="session")
def asked(folder: Path) -> Asked:
    """The outcomes of all questions of a corpus, with all layers."""
    return cache(lambda corpus: ask_all(corpus, folder))


@pytest.fixture
def outcomes(request: pytest.FixtureRequest, asked: Asked) -> list[Outcome]:
    return asked(request.module.CORPUS)
