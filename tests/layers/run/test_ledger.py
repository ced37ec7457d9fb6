"""The ledger: what is settled and reserved never passes a limit."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from layers.run import Budget, Ledger, RunStopped, StopReason, Usage


@given(
    limit=st.integers(1, 500),
    calls=st.lists(st.tuples(st.integers(1, 100), st.floats(0, 1)), max_size=30),
)
def test_reserved_and_settled_tokens_never_pass_the_limit(limit, calls):
    ledger = Ledger(Budget(tokens=limit))
    open_reservations = []
    for tokens, share in calls:
        try:
            open_reservations.append((ledger.reserve("layer", tokens, None), int(tokens * share)))
        except RunStopped as stop:
            assert stop.reason is StopReason.BUDGET
        assert 0 <= ledger.left().tokens <= limit
        if len(open_reservations) > 2:
            reservation, used = open_reservations.pop(0)
            ledger.settle(reservation, Usage(1, used, 0))
    assert ledger.total().tokens <= limit


def test_parallel_children_share_one_limit():
    ledger = Ledger(Budget(tokens=100))
    fitted = []

    def child():
        for _ in range(50):
            try:
                reservation = ledger.reserve("layer", 7, None)
            except RunStopped:
                return
            fitted.append(7)
            ledger.settle(reservation, Usage(1, 7, 0))

    threads = [threading.Thread(target=child) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fitted) == ledger.total().tokens == 98


def test_a_released_reservation_can_be_used_again():
    ledger = Ledger(Budget(usd=1.0))
    ledger.release(ledger.reserve("layer", 10, 0.9))
    assert ledger.reserve("layer", 10, 0.9).usd == 0.9


def test_a_budget_in_usd_refuses_a_model_without_a_price():
    with pytest.raises(RunStopped, match="price") as stopped:
        Ledger(Budget(usd=1.0)).reserve("layer", 10, None)
    assert stopped.value.reason is StopReason.CONFIGURATION


def test_an_unknown_price_stays_unknown_in_the_sum():
    assert (Usage(usd=1.0) + Usage(usd=None)).usd is None


def test_the_step_after_the_last_one_is_not_counted():
    ledger = Ledger(Budget(steps=2))
    ledger.step("a")
    ledger.step("b")
    with pytest.raises(RunStopped, match="2 steps"):
        ledger.step("a")
    assert ledger.total().steps == 2


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"tokens": -1}, {"usd": float("nan")}, {"seconds": float("inf")}, {"usd": 0}, {"stpes": 1}]
)
def test_a_budget_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Budget(**wrong)


def test_a_call_whose_price_stayed_unknown_counts_with_what_was_reserved_for_it():
    ledger = Ledger(Budget(usd=1.0))
    ledger.settle(ledger.reserve("layer", 10, 0.6), Usage(1, 5, 5, None))
    with pytest.raises(RunStopped, match="usd"):
        ledger.reserve("layer", 10, 0.6)
    assert ledger.total().usd is None


def test_large_limits_of_whole_numbers_hold_to_the_last_one():
    ledger = Ledger(Budget(tokens=3_000_000_000))
    with pytest.raises(RunStopped):
        ledger.reserve("layer", 3_000_000_001, None)
