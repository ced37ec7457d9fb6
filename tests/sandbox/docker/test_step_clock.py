"""The time of a step: what of it counts, and which rung of the ladder is due when."""

import pytest

from sandbox.docker.clock import Rung, StepClock
from tests.support.clock import ManualClock


@pytest.fixture
def moment() -> ManualClock:
    return ManualClock()


def test_a_step_is_left_alone_until_its_time_is_up(moment):
    clock = StepClock(2.0, clock=moment)
    moment.advance(1.999)
    assert clock.climb() is None
    assert clock.rung is Rung.RUNNING


def test_it_is_interrupted_at_its_time_killed_a_second_and_removed_six_seconds_later(moment):
    clock, climbed = StepClock(2.0, clock=moment), []
    for quarter in range(1, 60):
        moment.advance(0.25)
        if (rung := clock.climb()) is not None:
            climbed.append((quarter / 4, rung))
    assert climbed == [(2.0, Rung.INTERRUPTED), (3.0, Rung.KILLED), (8.0, Rung.REMOVED)]


def test_whoever_looks_late_climbs_one_rung_at_a_time(moment):
    clock = StepClock(2.0, clock=moment)
    moment.advance(100)
    assert [clock.climb() for _ in range(4)] == [Rung.INTERRUPTED, Rung.KILLED, Rung.REMOVED, None]


def test_time_of_the_host_is_not_the_step_s(moment):
    clock = StepClock(2.0, clock=moment)
    for _ in range(5):
        moment.advance(0.25)
        with clock.outside():
            moment.advance(100)
    assert clock.climb() is None
    moment.advance(0.75)
    assert clock.climb() is Rung.INTERRUPTED


def test_time_of_a_call_that_fails_is_the_host_s_as_well(moment):
    clock = StepClock(2.0, clock=moment)
    with pytest.raises(ZeroDivisionError), clock.outside():
        moment.advance(100)
        raise ZeroDivisionError
    assert clock.climb() is None
