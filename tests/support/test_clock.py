"""The clock that tests move does what the real ones do, but for the time that it takes."""

import asyncio
import threading

from tests.support.clock import ManualClock


def test_timers_are_called_at_their_moments_and_in_their_order():
    clock, called = ManualClock(now=0.0), []
    for seconds in (3.0, 1.0, 9.0):
        clock.timer(seconds, lambda seconds=seconds: called.append((seconds, clock()))).start()
    clock.advance(5)
    assert called == [(1.0, 1.0), (3.0, 3.0)]
    assert clock() == 5.0


def test_a_timer_that_was_cancelled_is_not_called():
    clock, called = ManualClock(), []
    timer = clock.timer(1.0, lambda: called.append(1))
    timer.start()
    timer.cancel()
    clock.advance(2)
    assert not called


def test_a_timer_that_starts_another_one_has_it_called_on_the_same_way():
    clock, called = ManualClock(now=0.0), []
    second = clock.timer(1.0, lambda: called.append(clock()))
    clock.timer(1.0, second.start).start()
    clock.advance(2)
    assert called == [2.0]


def test_a_wait_ends_when_the_clock_was_moved_or_the_event_is_set():
    clock, event, ended = ManualClock(), threading.Event(), []
    for wanted in (False, True):
        waiting = threading.Thread(target=lambda: ended.append(clock.wait(event, 5)))
        waiting.start()
        clock.until_somebody_waits()
        event.set() if wanted else clock.advance(5)
        waiting.join()
    assert ended == [False, True]


def test_a_sleeper_sleeps_until_the_clock_is_moved():
    clock = ManualClock(now=0.0)
    sleeper = threading.Thread(target=clock.sleep, args=(2,))
    sleeper.start()
    clock.until_somebody_waits()
    clock.advance(2)
    sleeper.join()
    assert clock.slept == [2]


def test_an_asynchronous_sleep_moves_the_clock():
    clock = ManualClock(now=0.0)
    asyncio.run(clock.asleep(2.5))
    assert clock() == 2.5
