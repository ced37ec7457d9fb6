"""The score of a conflicting question: an answer must say which claim holds."""

from __future__ import annotations

import pytest

from tests.layers.offline.scoring import questions, says_which_holds

TIDE = {"kind": "conflicting", "expected": ["4 minutes"], "superseded": ["10 minutes"]}


@pytest.mark.parametrize(
    "answer",
    [
        "every 4 minutes.",
        "“every 4 minutes” (decisions.md) this supersedes: “every 10 minutes” (decisions.md)",
        "every 4 minutes instead of every 10 minutes.",
    ],
)
def test_an_answer_that_puts_what_holds_first_says_which_holds(answer):
    assert says_which_holds(TIDE, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "“every 10 minutes” (decisions.md) this supersedes: “every 4 minutes” (decisions.md)",
        "memory disagrees: - “every 10 minutes” - “every 4 minutes”",
        "memory disagrees, and nothing tells which holds: - “every 4 minutes” - “every 10 minutes”",
    ],
)
def test_an_answer_that_leaves_both_side_by_side_or_turns_them_round_does_not(answer):
    assert not says_which_holds(TIDE, answer)


@pytest.mark.parametrize("corpus", ["first", "second", "third"])
def test_every_conflicting_question_has_both_labels(corpus):
    conflicting = [question for question in questions(corpus) if question["kind"] == "conflicting"]
    assert len(conflicting) >= 6
    assert all(question["expected"] and question["superseded"] for question in conflicting)
