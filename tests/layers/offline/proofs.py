"""The proofs that the offline tier is honest, for any corpus; `test_first.py` and its like run them.

What is required of the corpora that were written blind is less in amount and the same in kind. That every layer is
worth something is proved over all corpora together, in `test_removal.py`.
"""

from __future__ import annotations

import pytest

from tests.layers.offline.scoring import Outcome, of_kind, open_mind, questions, score, ways


# The first test asks a whole corpus: minutes on a busy machine.
@pytest.mark.timeout(900)
class Proofs:
    """Subclass it with a corpus and what its score must reach."""

    corpus: str
    other: str
    least_score: float
    least_abstained: float
    most_wrongly_abstained: float

    def test_the_score_is_what_it_was_measured_to_be(self, outcomes):
        wrong = [(o.question["question"], str(o.thought.answer)) for o in outcomes if not o.right]
        assert score(outcomes) >= self.least_score, wrong

    def test_questions_take_at_least_four_ways_through_the_layers(self, outcomes):
        assert len(ways(outcomes)) >= 4
        assert {kind for o in outcomes if (kind := o.question["kind"])} == {"answerable", "conflicting", "unanswerable"}

    def test_other_memory_gives_other_answers(self, outcomes, tmp_path):
        asked = [o for o in of_kind(outcomes, "answerable") if o.right][:8]
        with open_mind(self.other, tmp_path) as mind:
            for before in asked:
                after = Outcome(before.question, mind.think(before.question["question"]))
                assert not after.right
                assert after.thought.answer != before.thought.answer

    def test_what_memory_does_not_hold_is_an_abstention(self, outcomes):
        unanswerable = of_kind(outcomes, "unanswerable")
        assert sum(o.abstained for o in unanswerable) / len(unanswerable) >= self.least_abstained

    def test_what_memory_holds_is_not_abstained_from(self, outcomes):
        held = [o for o in outcomes if o.question["kind"] != "unanswerable"]
        assert sum(o.abstained for o in held) / len(held) <= self.most_wrongly_abstained

    def test_every_answer_quotes_what_stands_in_its_files(self, outcomes):
        for outcome in outcomes:
            assert outcome.thought.errors == ()
            if not outcome.abstained:
                assert outcome.thought.evidence

    def test_the_labels_are_complete(self):
        labelled = questions(self.corpus)
        assert len(labelled) >= 40
        assert len({question["id"] for question in labelled}) == len(labelled)
