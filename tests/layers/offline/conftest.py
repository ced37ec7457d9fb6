"""All outcomes on the corpus of a test module, asked once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.layers.offline.scoring import Outcome, ask_all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, folder: Path) -> list[Outcome]:
    return ask_all(request.module.CORPUS, folder)
