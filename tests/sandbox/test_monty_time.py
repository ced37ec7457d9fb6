"""What a step in monty is charged, and when it ends, by a clock that the test moves."""

import threading

import pytest

from sandbox import ExecutionStopped, LimitExceeded, Limits
from sandbox.monty import MontySandbox
from sandbox.monty.budget import StepBudget
from tests.support.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock(sleeping_advances=True)


@pytest.fixture
def budget(clock):
    return StepBudget(Limits(step_timeout=10), clock=clock)


@pytest.fixture
def open_monty(clock):
    opened = []

    def open_one(**options):
        opened.append(
            MontySandbox(**{"limits": Limits(step_timeout=10), "clock": clock, "sleep": clock.sleep, **options})
        )
        return opened[-1]

    yield open_one
    for box in opened:
        box.cleanup()


def test_only_charged_time_is_charged(budget, clock):
    with budget.charged():
        clock.advance(4)
        assert budget.left() == 6
    clock.advance(100)
    assert budget.left() == 6
    with budget.charged():
        clock.advance(5)
    assert budget.left() == 1
    assert not budget.overrun()


def test_a_step_that_did_not_end_by_itself_is_overrun_three_seconds_after_its_time(budget, clock):
    with budget.charged():
        clock.advance(13)
        assert (budget.left(), budget.overrun()) == (-3, False)
        clock.advance(0.1)
        assert budget.overrun()


def test_a_step_that_is_led_out_ends_at_its_moment_whatever_was_charged(clock):
    budget = StepBudget(Limits(step_timeout=10), until=clock() + 1, clock=clock)
    clock.advance(1)
    assert not budget.overrun()
    clock.advance(0.1)
    assert budget.overrun()


def test_sleep_takes_its_time_and_is_charged(open_monty, clock):
    box, began = open_monty(), clock()
    box("import time\ntime.sleep(4)")
    assert clock() - began == pytest.approx(4)
    with pytest.raises(LimitExceeded, match="step_timeout") as caught:
        box("while True: time.sleep(3)")
    assert not caught.value.state_lost
    assert 14 - 1e-6 < clock() - began < 14.5
    with pytest.raises(LimitExceeded, match="step_timeout"):
        box("time.sleep(1e9)")
    assert 24 - 1e-6 < clock() - began < 25


def test_sleep_of_several_calls_adds_up(open_monty):
    with pytest.raises(LimitExceeded, match="step_timeout"):
        open_monty()("import time\nfor _ in range(3): time.sleep(4)")


def test_time_in_a_tool_is_the_hosts(open_monty, clock):
    box = open_monty()
    box.send_tools({"slow": lambda: clock.advance(100)})
    assert box("slow()\nslow()\n'done'").output == "done"


def test_a_stop_ends_a_sleep_at_the_next_nap(open_monty, clock):
    stop = threading.Event()

    def sleep(seconds):
        clock.advance(seconds)
        stop.set()

    began = clock()
    with pytest.raises(ExecutionStopped, match="stopped"):
        open_monty(stop=stop, sleep=sleep)("import time\ntime.sleep(9)")
    assert clock() - began < 0.1


def test_a_deadline_that_passes_in_a_tool_or_in_a_sleep_ends_the_step(open_monty, clock):
    for code in ("wait()\nafter()", "import time\ntime.sleep(6)\nafter()"):
        called = []
        box = open_monty(deadline=clock() + 5)
        box.send_tools({"wait": lambda: clock.advance(5), "after": lambda called=called: called.append(1)})
        with pytest.raises(ExecutionStopped, match="deadline"):
            box(code)
        assert called == []
