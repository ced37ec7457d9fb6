"""Who may use a sandbox now."""

import threading

import pytest

from sandbox import SandboxError
from sandbox.turns import Turns


def elsewhere(call):
    """What a call returned or raised in another thread; the thread itself if it still waits after a moment."""
    ended = []

    def run():
        try:
            ended.append(call())
        except SandboxError as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(0.2)
    return thread if thread.is_alive() else ended[0]


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
        waiting = [elsewhere(lambda: step(turns)), elsewhere(lambda: visit(turns))]
        assert all(isinstance(each, threading.Thread) for each in waiting)
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()


def test_a_step_that_raises_ends_its_turn():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.step():
        raise ZeroDivisionError
    assert elsewhere(lambda: step(turns)) == "ran"
