"""The lifeline: one stop reaches everything that waits."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from layers.run import Lifeline, LoopThread, RunStopped, StopReason
from tests.support.clock import ManualClock


def test_only_the_first_reason_counts():
    lifeline = Lifeline()
    assert lifeline.stop(StopReason.BUDGET, "first")
    assert not lifeline.stop(StopReason.CANCELLED, "second")
    with pytest.raises(RunStopped, match="first"):
        lifeline.check()


def test_the_deadline_stops_what_waits():
    clock, future = ManualClock(), Future()
    lifeline = Lifeline(clock() + 20.0, clock=clock, timer=clock.timer)
    clock.advance(19.9)
    assert not lifeline.stopped.is_set()
    assert lifeline.remaining() == pytest.approx(0.1)
    with lifeline.on_stop(future.cancel):
        clock.advance(0.2)
    assert future.cancelled()
    assert lifeline.remaining() == 0.0
    with pytest.raises(RunStopped) as stopped:
        lifeline.wait(Future())
    assert stopped.value.reason is StopReason.DEADLINE


def test_a_deadline_is_the_reason_also_for_who_sees_it_before_the_timer():
    clock = ManualClock()
    late = ManualClock()  # a timer that is behind
    line = Lifeline(clock() + 60, clock=clock, timer=late.timer)
    line.check()
    clock.advance(60)
    assert not line.stopped.is_set()
    with pytest.raises(RunStopped) as stopped:
        line.check()
    assert stopped.value.reason is StopReason.DEADLINE
    assert line.stopped.is_set()


def test_a_run_that_is_over_has_no_deadline_any_more():
    clock = ManualClock()
    line = Lifeline(clock() + 60, clock=clock, timer=clock.timer)
    line.close()
    clock.advance(61)
    assert not line.stopped.is_set()


def test_a_stop_cancels_the_coroutine_itself():
    loop, lifeline, ended = LoopThread(), Lifeline(), threading.Event()

    async def hang():
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    threading.Timer(0.1, lifeline.stop, (StopReason.CANCELLED, "now")).start()
    with pytest.raises(RunStopped):
        lifeline.wait(loop.submit(hang()))
    assert ended.wait(60)
    loop.close()


@pytest.mark.parametrize("timeout", [0.0, 0.1, 0.7])
def test_a_wait_that_takes_too_long_cancels_what_it_waits_for(timeout):
    future = Future()
    with pytest.raises(TimeoutError):
        Lifeline().wait(future, timeout)
    assert future.cancelled()


def test_waiting_on_a_stopped_lifeline_does_not_wait():
    lifeline = Lifeline()
    lifeline.stop(StopReason.CANCELLED, "over")
    with pytest.raises(RunStopped):
        lifeline.wait(Future())


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
@pytest.mark.parametrize("after", [0, 0.1])
def test_an_error_of_the_future_comes_through(error, after):
    future = Future()
    threading.Timer(after, future.set_exception, [error("its own")]).start()
    with pytest.raises(error, match="its own"):
        Lifeline().wait(future)


def test_a_callback_is_called_once_and_only_inside_its_block():
    lifeline, heard = Lifeline(), []
    with lifeline.on_stop(lambda: heard.append("gone")):
        pass
    with lifeline.on_stop(lambda: heard.append("here")):
        lifeline.stop(StopReason.CANCELLED, "x")
    assert heard == ["here"]


def test_closing_lets_go_of_the_timer():
    others = set(threading.enumerate())
    lifeline = Lifeline(time.monotonic() + 600)
    (timer,) = set(threading.enumerate()) - others
    lifeline.close()
    timer.join(60)
    assert not timer.is_alive()


def test_the_context_goes_along_to_the_loop():
    from contextvars import ContextVar

    carried = ContextVar("carried", default="nothing")
    loop = LoopThread()

    async def read():
        return carried.get()

    carried.set("mine")
    assert loop.submit(read()).result(5) == "mine"
    loop.close()
    loop.close()


def test_a_callback_that_raises_keeps_none_of_the_others_from_being_called():
    lifeline, heard = Lifeline(), []

    def broken():
        raise OSError("its socket is gone")

    with lifeline.on_stop(broken), lifeline.on_stop(lambda: heard.append("second")):
        assert lifeline.stop(StopReason.CANCELLED, "x")
    assert heard == ["second"]


def test_one_callback_may_wait_in_two_blocks_at_once():
    lifeline, heard = Lifeline(), []

    def callback():
        heard.append("called")

    with lifeline.on_stop(callback):
        with lifeline.on_stop(callback):
            pass
        lifeline.stop(StopReason.CANCELLED, "x")
    assert heard == ["called"]


def test_a_loop_closes_even_if_a_task_will_not_end():
    began = threading.Event()

    async def stubborn():
        began.set()
        for _ in range(40):
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    others = set(threading.enumerate())
    loop = LoopThread()
    (thread,) = set(threading.enumerate()) - others
    loop.submit(stubborn())
    assert began.wait(60)
    loop.close(timeout=0.2)
    thread.join(60)
    assert not thread.is_alive()


def test_a_closed_loop_refuses_work_and_leaves_no_coroutine_unawaited():
    loop = LoopThread()
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        loop.submit(asyncio.sleep(0))
