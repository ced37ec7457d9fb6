"""The caller's own checks see every answer, however it came about, and what they reject is no outcome."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel

from cognition import AnswerRejected, StopReason
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.scripted_model import calls, code, is_closing, layer_of, report


class Number(BaseModel):
    number: int


def at_once(request):
    return report("forty-two")


def closing(request):
    return '{"answer": "forty-two"}' if is_closing(request) else code("print(1)")


def repaired(request):
    if layer_of(request) == "repair":
        return calls(("final_answer", {"answer": {"answer": {"number": 42}}}))
    return report("forty-two")


def without_code(request):
    return calls(("final_answer", {"answer": "forty-two"})) if request.tools else "no code"


@pytest.mark.parametrize(
    ("way", "output"), [(at_once, None), (closing, None), (without_code, None), (repaired, Number)]
)
def test_a_check_sees_the_answer_on_every_way_to_it(make_mind, way, output):
    seen = []

    def of_no_use(thought):
        seen.append(thought.answer)
        return False

    with make_mind(**scripted(only_manager(way))) as mind, pytest.raises(AnswerRejected, match="of_no_use") as rejected:
        mind.think("What is it?", output=output, final_answer_checks=[of_no_use])
    assert seen == [rejected.value.partial.answer] == [Number(number=42) if output else "forty-two"]
    assert rejected.value.partial.stop_reason is StopReason.FAILED


def test_a_check_that_raises_says_why_and_a_rejected_answer_is_not_remembered(make_mind):
    def too_short(thought):
        raise ValueError("give more than a word")

    with make_mind(**scripted(only_manager(at_once))) as mind:
        with pytest.raises(AnswerRejected, match="give more than a word"):
            mind.think("What is it?", session="checked", final_answer_checks=[too_short])
        asked = []
        mind.think("And?", session="checked", final_answer_checks=[asked.append])
    assert len(asked) == 1  # a check that returns nothing has no objection


def test_an_abstention_passes(make_mind):
    play = only_manager(lambda _: report("Memory holds nothing on it.", abstained=True))
    with make_mind(**scripted(play)) as mind:
        thought = mind.think("What is it?", final_answer_checks=[lambda _: False])
    assert thought.stop_reason is StopReason.ABSTAINED


def test_a_check_that_takes_longer_than_the_managers_tools_rejects_and_is_left_behind(make_mind):
    over = threading.Event()
    hasty = {"consciousness": {"tool_timeout": 0.2}}
    try:
        with (
            make_mind(**scripted(only_manager(at_once)), layers=hasty) as mind,
            pytest.raises(AnswerRejected, match="within 0.2 s.*tool_timeout"),
        ):
            mind.think("What is it?", final_answer_checks=[lambda thought: over.wait(60)])
    finally:
        over.set()
