"""The ledger: what is settled and reserved never passes a limit."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from layers.run import Budget, Ledger, RunStopped, ShareSpent, StopReason, Usage


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
    "wrong",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"steps": True},
        {"steps": 10**9},
        {"model_calls": 0},
        {"tokens": -1},
        {"tokens": 10**30},
        {"usd": 0},
        {"usd": -0.01},
        {"usd": float("nan")},
        {"usd": 1e300},
        {"seconds": float("inf")},
        {"seconds": -1},
        {"stpes": 1},
    ],
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


def test_calls_that_are_under_way_count_against_the_budget_of_calls():
    ledger = Ledger(Budget(model_calls=2))
    first, second = ledger.reserve("a", 1, None), ledger.reserve("b", 1, None)
    with pytest.raises(RunStopped, match="2 model calls"):
        ledger.reserve("a", 1, None)
    ledger.release(first)
    ledger.settle(second, Usage(1, 1, 0))
    assert ledger.left().model_calls == 1


@pytest.mark.parametrize(
    ("budget", "billed", "words"),
    [
        ({"tokens": 1000}, Usage(1, 100, 51, 0.01), "billed 51 tokens above the 100"),
        ({"usd": 1.0}, Usage(1, 10, 10, 0.3), "billed 0.2 usd above the 0.1"),
    ],
)
def test_what_is_billed_above_a_reservation_is_on_the_books_and_ends_the_run(budget, billed, words):
    ledger = Ledger(Budget(**budget))
    with pytest.raises(RunStopped, match=words) as stopped:
        ledger.settle(ledger.reserve("layer", 100, 0.1), billed)
    assert stopped.value.reason is StopReason.BUDGET
    total = ledger.total()
    assert (total.tokens, total.usd) == (billed.tokens, billed.usd)
    assert total.overshoot_tokens == max(0, billed.tokens - 100)
    assert total.overshoot_usd == pytest.approx(max(0.0, billed.usd - 0.1))


def test_an_overshoot_in_a_unit_without_a_limit_is_only_told():
    ledger = Ledger(Budget(steps=10, usd=1.0))
    ledger.settle(ledger.reserve("layer", 100, 0.1), Usage(1, 500, 0, 0.1))
    assert ledger.total().overshoot_tokens == 400


def test_a_price_that_turns_out_to_be_known_is_no_overshoot():
    ledger = Ledger(Budget(tokens=1000))
    ledger.settle(ledger.reserve("layer", 100, None), Usage(1, 10, 10, 0.5))
    assert (ledger.total().usd, ledger.total().overshoot_usd) == (0.5, 0.0)


def test_a_spent_share_is_the_layers_end_and_not_the_runs():
    ledger = Ledger(Budget(tokens=1000, steps=10))
    ledger.allot("a", 0.2)
    ledger.settle(ledger.reserve("a", 150, None), Usage(1, 150, 0))
    with pytest.raises(ShareSpent, match=r"layer 'a' has used its share.*200 tokens.*\[layers\.a\]") as spent:
        ledger.reserve("a", 51, None)
    assert spent.value.layer == "a"
    ledger.reserve("a", 50, None)
    ledger.reserve("b", 800, None)
    with pytest.raises(RunStopped, match="1,000 tokens") as stopped:
        ledger.reserve("a", 1, None)
    assert not isinstance(stopped.value, ShareSpent)


def test_a_share_of_whole_numbers_is_at_least_one():
    ledger = Ledger(Budget(steps=3, model_calls=3))
    ledger.allot("a", 0.1)
    ledger.step("a")
    with pytest.raises(ShareSpent, match="1 steps"):
        ledger.step("a")
