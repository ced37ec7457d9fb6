"""One ledger for many children at once: no limit is ever passed, and nothing stays reserved."""

from __future__ import annotations

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layers.delegation import delegate_all
from layers.run import Budget, Ledger, Reservation, RunStopped, ShareSpent, StopReason, Usage
from layers.tiers.base import Bound, ChatReply
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, code, report

CHILDREN = 8
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.integers(1, 5000),
        "usd": st.floats(0.001, 5.0),
        "model_calls": st.integers(1, 200),
        "steps": st.integers(1, 100),
    },
)


def keeps(ledger: Ledger) -> bool:
    """Whether what is settled and reserved is within every limit at this moment."""
    held, budget = ledger.committed(), ledger.budget
    return all(
        getattr(budget, name) is None or getattr(held, name) <= getattr(budget, name) * (1 + 1e-9)
        for name in ("tokens", "usd", "model_calls", "steps")
    )


@settings(deadline=None, max_examples=60)
@given(limits=LIMITS, seed=st.integers())
def test_eight_children_with_a_random_model_never_pass_a_limit(limits, seed):
    ledger, broken = Ledger(Budget(**limits)), []

    def child(number: int) -> None:
        chance, held = random.Random(seed + number), []
        for _ in range(40):
            try:
                if chance.random() < 0.3:
                    ledger.step(f"layer{number % 3}")
                held.append(ledger.reserve(f"layer{number % 3}", chance.randint(1, 200), chance.random() / 10))
            except RunStopped:
                if not held:
                    break
            while held and chance.random() < 0.7:
                end(ledger, chance, held.pop())
            if not keeps(ledger):
                broken.append(ledger.committed())
        for reservation in held:
            end(ledger, chance, reservation)

    side_by_side(child)
    assert broken == []
    total, held = ledger.total(), ledger.committed()
    assert (held.tokens, held.model_calls, held.steps) == (total.tokens, total.model_calls, total.steps)
    assert held.usd == pytest.approx(total.usd)
    assert total.overshoot_tokens == 0


def end(ledger: Ledger, chance: random.Random, reservation: Reservation) -> None:
    """A call ends: it failed, or used some part of what was reserved."""
    if chance.random() < 0.2:
        ledger.release(reservation)
        return
    read = chance.randint(0, reservation.tokens)
    wrote = chance.randint(0, reservation.tokens - read)
    ledger.settle(reservation, Usage(1, read, wrote, reservation.usd * chance.random()))


def side_by_side(child) -> None:
    threads = [threading.Thread(target=child, args=(number,)) for number in range(CHILDREN)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


class RandomModel(ScriptedModel):
    """Reserves much, uses little or all of it, and often goes on."""

    def __init__(self, seed: int, watch) -> None:
        super().__init__(lambda _: "")
        self._chance, self._watch, self._one = random.Random(seed), watch, threading.Lock()
        self.billed = 0

    def bound(self, request):
        with self._one:
            return Bound(self._chance.randint(50, 400), 0.01)

    def chat(self, request, lifeline):
        lifeline.check()
        self._watch()
        with self._one:
            tokens, ends = self._chance.randint(2, 50), self._chance.random() < 0.2
            self.billed += tokens
        reply = ScriptedModel(lambda _: report("done") if ends else code("print(1)")).chat(request, lifeline)
        return ChatReply(reply.message, "random", tokens // 2, tokens - tokens // 2, 0.001)


@pytest.mark.parametrize(("seed", "tokens"), [(1, 900), (2, 3000), (3, 20_000)])
def test_eight_layers_at_work_side_by_side_never_pass_a_limit(seed, tokens):
    broken = []
    with opened_run(Budget(tokens=tokens)) as (run, _):
        model = RandomModel(seed, lambda: keeps(run.ledger) or broken.append(run.ledger.committed()))
        with workbench(model) as bench, run.child(bench.layers["consciousness"]) as node:
            try:
                delegate_all(node, bench, [("conception", str(n)) for n in range(CHILDREN)])
            except RunStopped as stop:
                assert stop.reason is StopReason.BUDGET
        assert broken == []
        assert run.ledger.total().tokens == run.ledger.committed().tokens == model.billed <= tokens


@settings(deadline=None, max_examples=60)
@given(limits=LIMITS, share=st.floats(0.01, 1.0), seed=st.integers())
def test_a_share_holds_whatever_the_others_do(limits, share, seed):
    ledger, passed = Ledger(Budget(**limits)), []
    ledger.allot("layer0", share)
    part = ledger.budget.part(share)

    def child(number: int) -> None:
        chance = random.Random(seed + number)
        for _ in range(30):
            try:
                ledger.step(f"layer{number % 2}")
                end(ledger, chance, ledger.reserve(f"layer{number % 2}", chance.randint(1, 100), chance.random() / 10))
            except ShareSpent as spent:
                assert spent.layer == "layer0"
            except RunStopped:
                return
            own = ledger.committed("layer0")
            for name in ("tokens", "usd", "model_calls", "steps"):
                limit = getattr(part, name)
                if limit is not None and getattr(own, name) > limit * (1 + 1e-9):
                    passed.append((name, own))

    side_by_side(child)
    assert passed == []
    assert keeps(ledger)
