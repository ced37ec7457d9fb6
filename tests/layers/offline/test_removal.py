"""The proof that every layer of the offline tier is worth something, over the questions of all corpora together.

On one corpus of some fifty questions a question or two is noise: a layer that helps may lose there by luck.
"""

from __future__ import annotations

import pytest

from tests.layers.offline.scoring import CORPORA, REMOVABLE, ask_all

ALL = sorted(folder.name for folder in CORPORA.iterdir() if (folder / "questions.json").exists())
LEAST_WORTH = 0.02
"""Share of all questions that a layer must be worth: three of 140."""


# Each asks every question of every corpus, the first of them twice: minutes of a processor.
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("layer", REMOVABLE)
def test_removing_a_layer_lowers_the_score(asked, folder, layer):
    whole = [outcome.right for corpus in ALL for outcome in asked(corpus)]
    without = [outcome.right for corpus in ALL for outcome in ask_all(corpus, folder, without=layer)]
    assert len(without) == len(whole) >= 140
    assert sum(without) / len(without) <= sum(whole) / len(whole) - LEAST_WORTH
