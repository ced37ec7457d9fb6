"""Somebody else's code on a thread of its own: whatever it raises reaches who called it."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, InvalidStateError

import pytest

from layers.run import Lifeline, RunStopped, StopReason, TookTooLong, apart


@pytest.mark.parametrize("kind", [InvalidStateError, CancelledError, TimeoutError, SystemExit, KeyboardInterrupt])
def test_what_the_code_raises_reaches_its_caller_also_where_futures_raise_the_same(kind):
    def broken():
        raise kind("its own")

    with pytest.raises(kind, match="its own") as caught:
        apart(Lifeline(), "tool", broken, limit=60)
    assert not isinstance(caught.value, TookTooLong)


def test_what_comes_too_late_is_dropped_without_a_word(capfd):
    late, ended = threading.Event(), threading.Event()

    def slow():
        late.wait(60)
        ended.set()
        return 1

    with pytest.raises(TookTooLong, match="tool gave nothing within 0.05 s"):
        apart(Lifeline(), "tool", slow, limit=0.05)
    late.set()
    assert ended.wait(60)
    for thread in [each for each in threading.enumerate() if each.name == "tool"]:
        thread.join(60)
    assert capfd.readouterr().err == ""


def test_a_run_that_stops_leaves_the_code_behind():
    line, over = Lifeline(), threading.Event()
    line.stop(StopReason.CANCELLED, "enough")
    try:
        with pytest.raises(RunStopped, match="enough"):
            apart(line, "tool", over.wait, 60)
    finally:
        over.set()
