"""Boxes that are kept ready, without an engine: which of them a session gets, and what becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.pool import Pool
from sandbox.errors import SandboxUnavailable
from tests.support.clock import ManualClock

HANG = 60.0  # seconds that only a hang takes


class Channel:
    """Of a box that waits."""

    def __init__(self) -> None:
        self.there, self.closed = True, False

    def peek(self) -> bool:
        if not self.there:
            raise ChannelClosedError("gone")
        return True

    def close(self) -> bool:
        was, self.closed = self.closed, True
        return not was


class Box:
    def __init__(self, number: int, born: float) -> None:
        self.id, self.born, self.channel = str(number), born, Channel()


class Engine:
    """Makes boxes when it may, and notes which it was to remove."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.made: list[Box] = []
        self.removed: list[str] = []
        self.may = threading.Event()
        self.may.set()
        self.asked = threading.Semaphore(0)
        self.failure: Exception | None = None

    def make(self) -> Box:
        self.asked.release()
        assert self.may.wait(HANG)
        if self.failure is not None:
            raise self.failure
        self.made.append(Box(len(self.made), self.clock()))
        return self.made[-1]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Engine:
    return Engine(clock)


@pytest.fixture
def pool_of(engine: Engine, clock: ManualClock) -> Iterator[Callable[[int], Pool]]:
    """A pool that keeps so many ready, which they are."""
    made: list[Pool] = []

    def pool_of(warm: int) -> Pool:
        lock = threading.Condition(threading.RLock())
        made.append(Pool(engine.make, engine.removed.append, warm, lock, clock=clock))  # type: ignore[arg-type]
        made[-1].fill()
        settled(made[-1])
        return made[-1]

    yield pool_of
    engine.may.set()
    for pool in made:
        pool.close()


def settled(pool: Pool) -> None:
    """Wait until nothing is being made or removed."""
    assert pool._makers.finish(HANG)
    assert pool._enders.finish(HANG)


def watch() -> None:
    """Whoever waits wants it still."""


def test_what_was_ready_longest_is_taken_first_and_what_is_missing_is_made(engine, pool_of):
    pool = pool_of(2)
    first = engine.made[0]
    assert pool.take(watch) is first
    pool.fill()
    settled(pool)
    assert len(engine.made) == 3
    pool.fill()
    settled(pool)
    assert len(engine.made) == 3, "two are ready"


def test_a_box_that_has_gone_meanwhile_is_not_given_to_a_session(engine, pool_of):
    pool = pool_of(2)
    engine.made[0].channel.there = False
    assert pool.take(watch) is engine.made[1]
    settled(pool)
    assert engine.removed == ["0"]


def test_a_box_that_is_too_old_is_not_given_to_a_session(engine, pool_of, clock):
    pool = pool_of(1)
    clock.advance(6 * 3600)
    taken = pool.take(watch)
    settled(pool)
    assert (taken.id, engine.removed) == ("1", ["0"])


def test_a_box_that_is_nearly_so_old_is(engine, pool_of, clock):
    pool = pool_of(1)
    clock.advance(6 * 3600 - 1)
    assert pool.take(watch) is engine.made[0]


def test_what_comes_for_somebody_who_went_is_ended(engine, pool_of):
    pool = pool_of(0)
    engine.may.clear()

    def gone() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        pool.take(gone)
    engine.may.set()
    settled(pool)
    assert engine.removed == ["0"]


def test_why_none_can_be_made_is_told_to_whoever_needs_one(engine, pool_of):
    engine.failure = SandboxUnavailable("no engine")
    pool = pool_of(1)  # nobody waited for that one
    with pytest.raises(SandboxUnavailable, match="no engine"):
        pool.take(watch)
    engine.failure = None
    pool.fill()
    settled(pool)
    assert pool.take(watch) is engine.made[0]


def test_closing_ends_what_is_ready_and_what_comes_later(engine, pool_of):
    pool = pool_of(2)
    pool.take(watch)
    engine.may.clear()
    while engine.asked.acquire(blocking=False):
        pass
    pool.fill()
    assert engine.asked.acquire(timeout=HANG)
    closing = threading.Thread(target=pool.close)
    closing.start()
    while not engine.made[1].channel.closed:
        closing.join(0.01)
    engine.may.set()
    closing.join(HANG)
    settled(pool)
    assert sorted(engine.removed) == ["1", "2"]
    pool.fill()
    settled(pool)
    assert len(engine.made) == 3, "a closed pool makes none"


def test_a_box_is_ended_once(engine, pool_of):
    pool = pool_of(0)
    box = pool.take(watch)
    for _ in range(3):
        pool.end(box)
    settled(pool)
    assert engine.removed == ["0"]
