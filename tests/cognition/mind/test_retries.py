"""A task that failed is tried anew: fresh layers each time, one budget, one deadline, one trace."""

from __future__ import annotations

import threading

import pytest
from pydantic import BaseModel

from cognition import (
    AnswerRejected,
    BudgetExceeded,
    Cancelled,
    DeadlineExceeded,
    ModelUnavailable,
    OutputInvalid,
    StopReason,
)
from tests.cognition.mind.test_failures import served_by
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.openai_server import Fail, OpenAIServer
from tests.support.patience import given_time
from tests.support.scripted_model import code, conversation, layer_of, report


class Numbers:
    """A manager that remembers in a variable which answer it gave, and gives the next number each time it is asked."""

    def __init__(self, stop=None):
        self.asked = 0
        self.seen = []

    def __call__(self, request):
        self.seen.append(conversation(request))
        if "Observation" not in conversation(request):
            self.asked += 1
            return code(f"found = {self.asked}\nprint('found', found)")
        return report(f"number {self.asked}")


def third(thought):
    return thought.answer == "number 3"


def test_the_first_attempt_that_passes_is_the_answer_and_tells_of_those_before(make_mind):
    model = Numbers()
    with make_mind(**scripted(only_manager(model))) as mind:
        thinking = mind.start("Count", final_answer_checks=[third], retries=3)
        events = list(thinking.events())
        thought = thinking.result()
        trace = mind.trace(thought.run_id)
    assert (thought.answer, thought.stop_reason, thought.success) == ("number 3", StopReason.ANSWERED, True)
    assert [error[:22] for error in thought.errors] == ["Attempt 1 of 4 failed:", "Attempt 2 of 4 failed:"]
    assert "third rejected the answer" in thought.errors[0]
    # every attempt is paid: two steps of the manager and one of perception in each
    assert thought.steps == {"perceptual": 3, "consciousness": 6}
    assert thought.total.model_calls == 9
    assert [event.detail["attempt"] for event in events if event.kind == "retry"] == [1, 2]
    attempts = [node for _, node in trace.root.walk() if node.kind == "attempt"]
    assert [node.name for node in attempts] == ["attempt 1", "attempt 2", "attempt 3"]
    assert [node.status.value for node in attempts] == ["error", "error", "ok"]
    assert [node.kind for node in trace.root.children] == ["attempt"] * 3
    # a fresh agent and sandbox: nothing of an earlier attempt is in sight
    assert all("number" not in seen for seen in model.seen)


def test_when_every_attempt_fails_the_last_error_tells_of_all(make_mind):
    with make_mind(**scripted(only_manager(Numbers()))) as mind, pytest.raises(AnswerRejected) as ended:
        mind.think("Count", final_answer_checks=[lambda thought: False], retries=1)
    assert ended.value.partial.answer == "number 2"
    assert ended.value.partial.total.model_calls == 6
    assert len(ended.value.partial.errors) == 2


def test_without_retries_a_task_is_tried_once(make_mind):
    model = Numbers()
    with make_mind(**scripted(only_manager(model))) as mind, pytest.raises(AnswerRejected):
        mind.think("Count", final_answer_checks=[third])
    assert model.asked == 1


def test_one_budget_holds_over_all_attempts(make_mind):
    with make_mind(**scripted(only_manager(Numbers()))) as mind, pytest.raises(BudgetExceeded) as ended:
        mind.think("Count", final_answer_checks=[lambda thought: False], retries=20, budget={"steps": 7})
    assert ended.value.partial.total.steps == 7
    assert ended.value.stop_reason is StopReason.BUDGET
    assert [error[:22] for error in ended.value.partial.errors[:2]] == [
        "Attempt 1 of 21 failed",
        "Attempt 2 of 21 failed",
    ]


def test_each_attempt_begins_with_whole_shares(make_mind):
    checked = []

    def play(request):
        if layer_of(request) == "conceptual":
            seen = conversation(request).count("Observation:")
            return report("all of it") if seen == 3 else code(f"print('part {seen}')")
        return code("r = conception(task='look')\nfinal_answer({'answer': r['answer']})")

    def third_time(thought):
        checked.append(thought.answer)
        return len(checked) == 3

    layers = {"conceptual": {"share": 0.2, "tools": []}}  # four of the twenty steps: just what it needs
    with make_mind(layers=layers, **scripted(only_manager(play))) as mind:
        thought = mind.think("Count", budget={"steps": 20}, final_answer_checks=[third_time], retries=3)
    assert checked == ["all of it"] * 3
    assert thought.steps["conceptual"] == 12


class Number(BaseModel):
    number: int


def test_an_answer_that_does_not_fit_is_tried_again(make_mind):
    model = Numbers()

    def play(request):
        if model.asked == 1 and "Observation" in conversation(request):
            return report("no number at all")
        answer = model(request)
        return report({"number": 2}) if "final_answer" in str(answer) else answer

    with make_mind(**scripted(only_manager(play))) as mind:
        assert mind.think("Count", output=Number, retries=1).answer == Number(number=2)
        model.asked = 0
        with pytest.raises(OutputInvalid):
            mind.think("Count", output=Number)


@pytest.mark.parametrize("end", ["deadline", "cancel", "model"])
def test_what_stops_a_run_is_never_tried_again(make_mind, end):
    if end == "model":
        with OpenAIServer(lambda _: Fail(500)) as server, make_mind(**served_by(server.url)) as mind:
            with pytest.raises(ModelUnavailable):
                mind.think("Count", retries=5)
            assert len(server.requests) == 1
        return
    begun, reached, over = [], threading.Event(), threading.Event()

    def slow() -> str:
        """Take as long as the run."""
        begun.append(1)
        reached.set()
        over.wait(120)
        return "late"

    def stopped(deadline):
        thinking = mind.start("Count", retries=5, deadline=deadline if end == "deadline" else None)
        if end == "cancel":
            assert reached.wait(60)
            thinking.cancel()
        with pytest.raises(Cancelled if end == "cancel" else DeadlineExceeded):
            thinking.result()
        assert "retry" not in [event.kind for event in thinking.events()]
        return reached.is_set()

    with make_mind(**scripted(only_manager(lambda _: code("print(slow())"))), tools=[slow]) as mind:
        given_time(stopped)
        over.set()
    assert len(begun) == 1


@pytest.mark.parametrize("retries", [-1, 21, 1.5, True, "2", None])
def test_a_wrong_number_of_retries_is_refused_before_anything_starts(mind, retries):
    with pytest.raises(ValueError, match="retries must be a whole number"):
        mind.start("Count", retries=retries)
