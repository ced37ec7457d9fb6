"""What a run may still spend, and what it has spent, layer by layer."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from layers.run.budget import Budget, Usage
from layers.run.signals import RunStopped, ShareSpent, StopReason

__all__ = ["Budget", "Committed", "Ledger", "Reservation", "Usage"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """An upper bound set aside for one model call; give it to `Ledger.settle` or `Ledger.release`.

    Attributes:
        usd: USD; 0 if the price is not known, which `priced` tells.
    """

    layer: str
    tokens: int
    usd: float
    priced: bool = True


@dataclass(frozen=True, slots=True)
class Committed:
    """What is settled and reserved together; never above a limit, unless a provider bills more than was reserved.

    Attributes:
        usd: USD; a call whose price stayed unknown counts with what was reserved for it.
    """

    steps: int = 0
    model_calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Committed) -> Committed:
        return Committed(
            self.steps + other.steps,
            self.model_calls + other.model_calls,
            self.tokens + other.tokens,
            self.usd + other.usd,
        )

    def __sub__(self, other: Committed) -> Committed:
        rest = self + Committed(-other.steps, -other.model_calls, -other.tokens, -other.usd)
        return replace(rest, usd=max(0.0, rest.usd))  # sums of floats may end just below 0

    def first_above(self, wanted: Committed, limits: Budget) -> str | None:
        """Return the first limit that this and `wanted` together would pass, by its name in `Budget`."""
        for name in ("steps", "model_calls", "tokens", "usd"):
            limit, more = getattr(limits, name), getattr(wanted, name)
            together = getattr(self, name) + more
            # Sums of USD carry the error of floats; counts are exact.
            close = name == "usd" and limit is not None and math.isclose(together, limit)
            if limit is not None and more and together > limit and not close:
                return name
        return None


class Ledger:
    """What a run may still spend, shared by every agent in its tree.

    Thread-safe. An upper bound is reserved before a model call and settled with the real usage after it, so parallel
    children can't overshoot together: what is settled and reserved never exceeds the limit by a reservation.

    Args:
        budget: the limits.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._spent: dict[str, Usage] = {}
        self._committed: dict[str, Committed] = {}
        self._shares: dict[str, Budget] = {}
        self._in_vain: dict[str, Committed] = {}  # by attempts that are over; on the books, but not on the shares

    def allot(self, layer: str, share: float) -> None:
        """Let a layer use at most this share of the budget, 0 to 1, in all its calls together.

        What the layers use that it calls is not counted as its own.
        """
        with self._lock:
            self._shares[layer] = self.budget.part(share)

    def renew_shares(self) -> None:
        """Let every layer have the whole of its share again, within what is left of the budget."""
        with self._lock:
            self._in_vain = dict(self._committed)

    def reserve(self, layer: str, tokens: int, usd: float | None) -> Reservation:
        """Set aside an upper bound for one model call.

        Args:
            layer: who calls.
            tokens: bound of prompt and completion tokens.
            usd: bound of the cost in USD; `None` if the model's price is not known.

        Raises:
            ShareSpent: the layer's share doesn't allow it; the run's budget would.
            RunStopped: if the bound doesn't fit; nothing is reserved then.
        """
        if self.budget.usd is not None and usd is None:
            raise RunStopped(
                StopReason.CONFIGURATION,
                "A budget in USD needs the model's price, and it is not known. Set input_usd_per_million and "
                "output_usd_per_million of its tier, or budget tokens instead.",
            )
        reservation = Reservation(layer, tokens, usd or 0.0, priced=usd is not None)
        with self._lock:
            self._commit(layer, _of_call(reservation))
        return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace a reservation by what the call really used.

        Raises:
            RunStopped: the provider billed more than was reserved, in a unit that the budget limits. It is on the books
                then, as overshoot; since reservations can't be relied on any more, the run must end.
        """
        usage = _with_overshoot(reservation, usage)
        charged = reservation.usd if usage.usd is None else usage.usd
        with self._lock:
            self._take_back(reservation)
            used = Committed(model_calls=usage.model_calls, tokens=usage.tokens, usd=charged)
            self._committed[reservation.layer] = self._of(reservation.layer) + used
            self._add(reservation.layer, usage)
        self._end_on_overshoot(reservation, usage)

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back: its call failed without use."""
        with self._lock:
            self._take_back(reservation)

    def step(self, layer: str) -> None:
        """Count one action of a layer.

        Raises:
            ShareSpent: the layer's share of the steps is used up; the run's budget is not.
            RunStopped: if the budget of steps is used up; the step is not counted in either case.
        """
        with self._lock:
            self._commit(layer, Committed(steps=1))
            self._add(layer, Usage(steps=1))

    def time(self, layer: str, seconds: float) -> None:
        """Add the wall time of a layer's work, in seconds, without that of the layers it called."""
        with self._lock:
            self._add(layer, Usage(seconds=seconds))

    def usage(self) -> Mapping[str, Usage]:
        """What each layer has spent so far, by layer name."""
        with self._lock:
            return dict(self._spent)

    def total(self) -> Usage:
        """What the whole tree has spent so far."""
        with self._lock:
            return sum(self._spent.values(), Usage())

    def committed(self, layer: str | None = None) -> Committed:
        """What is settled and reserved at this moment, by one layer or by the whole tree."""
        with self._lock:
            return self._all() if layer is None else self._of(layer)

    def left(self) -> Budget:
        """What may still be spent, reservations taken off; a limit that is used up shows as 0."""
        with self._lock:
            used, budget = self._all(), self.budget
        return Budget.model_construct(
            steps=None if budget.steps is None else max(0, budget.steps - used.steps),
            model_calls=None if budget.model_calls is None else max(0, budget.model_calls - used.model_calls),
            tokens=None if budget.tokens is None else max(0, budget.tokens - used.tokens),
            usd=None if budget.usd is None else max(0.0, budget.usd - used.usd),
            seconds=budget.seconds,
        )

    def _commit(self, layer: str, wanted: Committed) -> None:
        used = self._all()
        if name := used.first_above(wanted, self.budget):
            raise RunStopped(
                StopReason.BUDGET, f"{_told(name, used, wanted, self.budget)} Raise it with Budget({name}=…)."
            )
        own, share = self._of(layer), self._shares.get(layer)
        now = own - self._in_vain.get(layer, Committed())
        if share and (name := now.first_above(wanted, share)):
            more = f"Raise `share` in [layers.{layer}], or the budget."
            raise ShareSpent(layer, f"The layer {layer!r} has used its share. {_told(name, now, wanted, share)} {more}")
        self._committed[layer] = own + wanted

    def _take_back(self, reservation: Reservation) -> None:
        self._committed[reservation.layer] = self._of(reservation.layer) - _of_call(reservation)

    def _of(self, layer: str) -> Committed:
        return self._committed.get(layer, Committed())

    def _all(self) -> Committed:
        return sum(self._committed.values(), Committed())

    def _add(self, layer: str, usage: Usage) -> None:
        self._spent[layer] = self._spent.get(layer, Usage()) + usage

    def _end_on_overshoot(self, reservation: Reservation, usage: Usage) -> None:
        over = {"tokens": usage.overshoot_tokens, "usd": usage.overshoot_usd}
        for name, more in over.items():
            if more and getattr(self.budget, name) is not None:
                raise RunStopped(
                    StopReason.BUDGET,
                    f"A call of the layer {reservation.layer!r} was billed {_number(more)} {name} above the "
                    f"{_number(getattr(reservation, name))} that were reserved for it: the budget can't be kept. Set "
                    "max_tokens and the prices of its tier to what the provider really bills.",
                )


def _of_call(reservation: Reservation) -> Committed:
    return Committed(model_calls=1, tokens=reservation.tokens, usd=reservation.usd)


def _with_overshoot(reservation: Reservation, usage: Usage) -> Usage:
    tokens = max(0, usage.tokens - reservation.tokens)
    above = reservation.priced and usage.usd is not None and usage.usd > reservation.usd
    if not above or math.isclose(usage.usd or 0.0, reservation.usd, abs_tol=1e-12):
        return replace(usage, overshoot_tokens=tokens)
    return replace(usage, overshoot_tokens=tokens, overshoot_usd=(usage.usd or 0.0) - reservation.usd)


def _told(name: str, used: Committed, wanted: Committed, limits: Budget) -> str:
    limit, more, sofar = getattr(limits, name), getattr(wanted, name), getattr(used, name)
    unit = name.replace("_", " ")
    rest = f"{_number(more)} more; {_number(sofar)} are used or reserved."
    return f"The budget of {_number(limit)} {unit} does not allow {rest}"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"
