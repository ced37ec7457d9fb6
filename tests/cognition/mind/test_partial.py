"""A thought that was broken off tells of its layers what an answered one tells."""

from __future__ import annotations

import contextlib

import pytest
from pydantic import BaseModel

from cognition import BudgetExceeded, Cancelled, DeadlineExceeded, OutputInvalid
from tests.cognition.mind.test_opening import silent_until
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.patience import given_time
from tests.support.scripted_model import code, layer_of, report


class Number(BaseModel):
    """What no layer gives."""

    number: int


def play(request):
    """One delegation, then steps that lead nowhere."""
    return report("half of it") if layer_of(request) == "conceptual" else code("print(conception(task='x'))")


def endless(request):
    return report("half of it") if layer_of(request) == "conceptual" else code("conception(task='x')\nwhile 1: pass")


@pytest.fixture(scope="module")
def answered(make_mind):
    with make_mind(**scripted(only_manager(lambda _: report("all of it")))) as mind:
        return mind.think("count")


def broken_off(mind, error, **options):
    with pytest.raises(error) as ended:
        mind.think("count", **options)
    return ended.value.partial


def test_a_spent_budget_tells_steps_and_their_limits(make_mind, answered):
    with make_mind(**scripted(only_manager(play))) as mind:
        partial = broken_off(mind, BudgetExceeded, budget={"steps": 5})
    assert partial.max_steps == answered.max_steps
    assert partial.max_steps["consciousness"] == 10
    assert partial.steps == {"perceptual": 1, "consciousness": 2, "conceptual": 2}


def test_a_deadline_tells_steps_and_their_limits(make_mind, answered):
    partials = []

    def has_half(deadline):
        partials.append(broken_off(mind, DeadlineExceeded, deadline=deadline))
        return partials[-1].answer == "half of it"

    with make_mind(**scripted(only_manager(endless))) as mind:
        given_time(has_half)
    partial = partials[-1]
    assert partial.max_steps == answered.max_steps
    assert partial.steps == {"perceptual": 1, "consciousness": 1, "conceptual": 1}


def test_a_cancelled_run_tells_steps_and_their_limits(make_mind, answered):
    with make_mind(**scripted(only_manager(endless))) as mind:
        thinking = mind.start("count")
        for event in thinking.events():
            if event.kind == "layer_ended" and event.layer == "conceptual":
                break
        thinking.cancel()
        with pytest.raises(Cancelled) as ended:
            thinking.result()
    partial = ended.value.partial
    assert (partial.answer, partial.max_steps) == ("half of it", answered.max_steps)
    assert partial.steps == {"perceptual": 1, "consciousness": 1, "conceptual": 1}


def test_an_answer_that_does_not_fit_tells_steps_and_their_limits(make_mind, answered):
    with make_mind(**scripted(only_manager(lambda _: report("no number")))) as mind:
        partial = broken_off(mind, OutputInvalid, output=Number)
    assert partial.max_steps == answered.max_steps
    assert partial.steps["consciousness"] == 1


def test_a_run_that_ends_before_its_parts_are_open_knows_no_limits(make_mind, tmp_path):
    with contextlib.closing(make_mind(mcp=silent_until(tmp_path / "never"))) as mind:
        thinking = mind.start("count")
        thinking.cancel()
        with pytest.raises(Cancelled) as ended:
            thinking.result()
    assert ended.value.partial.steps == ended.value.partial.max_steps == {}
