"""Who may use a sandbox now."""

import threading
import time

import pytest

from sandbox import SandboxError
from sandbox.turns import Turns


def started(call):
    """A thread that makes a call, and the list that gets what the call returned or raised."""
    ended = []

    def run():
        try:
            ended.append(call())
        except SandboxError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, ended


def elsewhere(call):
    """What a call that waits for nobody returned or raised in another thread."""
    thread, ended = started(call)
    thread.join(20)
    assert not thread.is_alive()
    return ended[0]


def until_so_many_wait(turns, many):
    until = time.monotonic() + 60
    while len(turns._changed._waiters) < many:
        assert time.monotonic() < until, "nobody waits"
        time.sleep(0.005)


def step(turns):
    with turns.step():
        return "ran"


def visit(turns):
    with turns.visit():
        return "looked"


def test_a_second_step_is_refused_in_the_same_thread_and_in_another():
    turns = Turns()
    with turns.step():
        with pytest.raises(SandboxError, match="running code already"):
            step(turns)
        assert "running code already" in str(elsewhere(lambda: step(turns)))
    assert step(turns) == "ran"


def test_a_step_s_own_thread_may_look_and_another_may_not():
    turns = Turns()
    with turns.step():
        assert visit(turns) == "looked"
        assert "running code" in str(elsewhere(lambda: visit(turns)))
        assert visit(turns) == "looked"
    assert elsewhere(lambda: visit(turns)) == "looked"


def test_a_step_and_a_second_look_wait_for_a_look_that_is_under_way():
    turns = Turns()
    with turns.visit():
        waiting = [started(lambda: step(turns)), started(lambda: visit(turns))]
        until_so_many_wait(turns, 2)
        assert all(ended == [] for _, ended in waiting)
    for thread, ended in waiting:
        thread.join(20)
        assert ended in (["ran"], ["looked"])


def test_a_step_that_raises_ends_its_turn():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.step():
        raise ZeroDivisionError
    assert elsewhere(lambda: step(turns)) == "ran"
