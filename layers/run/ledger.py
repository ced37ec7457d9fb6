"""What a run may still spend, and what it has spent, layer by layer."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from layers.run.signals import RunStopped, StopReason


class Budget(BaseModel):
    """Upper limits of one run over its whole tree of agents; `None` means no limit.

    Attributes:
        steps: actions of all agents together; closing calls do not count as steps.
        tokens: prompt and completion tokens together.
        usd: cost of all model calls in USD.
        seconds: time from the start of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(default=None, ge=1, le=1_000_000)
    tokens: int | None = Field(default=None, ge=1)
    usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent.

    Attributes:
        usd: USD; `None` when the price of at least one call is not known.
        estimated: whether some token counts are estimates because the provider sent none.
    """

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    steps: int = 0
    seconds: float = 0.0
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.model_calls + other.model_calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if self.usd is None or other.usd is None else self.usd + other.usd,
            self.steps + other.steps,
            self.seconds + other.seconds,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Reservation:
    """An upper bound set aside for one model call; give it to `Ledger.settle` or `Ledger.release`."""

    layer: str
    tokens: int
    usd: float


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
        self._reserved_tokens = 0
        self._reserved_usd = 0.0
        self._charged_usd = 0.0  # what counts against the budget: a price that stayed unknown counts as reserved

    def reserve(self, layer: str, tokens: int, usd: float | None) -> Reservation:
        """Set aside an upper bound for one model call.

        Args:
            layer: who calls.
            tokens: bound of prompt and completion tokens.
            usd: bound of the cost in USD; `None` if the model's price is not known.

        Raises:
            RunStopped: if the bound doesn't fit; nothing is reserved then.
        """
        with self._lock:
            total = self._total()
            self._fit("tokens", total.tokens + self._reserved_tokens, tokens, self.budget.tokens)
            if self.budget.usd is not None:
                if usd is None:
                    raise RunStopped(
                        StopReason.CONFIGURATION,
                        "A budget in USD needs the model's price, and it is not known. Set input_usd_per_million and "
                        "output_usd_per_million of its tier, or budget tokens instead.",
                    )
                self._fit("usd", self._charged_usd + self._reserved_usd, usd, self.budget.usd)
            reservation = Reservation(layer, tokens, usd or 0.0)
            self._reserved_tokens += reservation.tokens
            self._reserved_usd += reservation.usd
            return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Replace a reservation by what the call really used."""
        with self._lock:
            self._release(reservation)
            self._charged_usd += reservation.usd if usage.usd is None else usage.usd
            self._add(reservation.layer, usage)

    def release(self, reservation: Reservation) -> None:
        """Give a reservation back: its call failed without use."""
        with self._lock:
            self._release(reservation)

    def step(self, layer: str) -> None:
        """Count one action of a layer.

        Raises:
            RunStopped: if the budget of steps is used up; the step is not counted then.
        """
        with self._lock:
            self._fit("steps", self._total().steps, 1, self.budget.steps)
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
            return self._total()

    def left(self) -> Budget:
        """What may still be spent, reservations taken off; a limit that is used up shows as its smallest value."""
        with self._lock:
            total = self._total()
            budget = self.budget
            return Budget.model_construct(
                steps=None if budget.steps is None else max(0, budget.steps - total.steps),
                tokens=None if budget.tokens is None else max(0, budget.tokens - total.tokens - self._reserved_tokens),
                usd=None if budget.usd is None else max(0.0, budget.usd - self._charged_usd - self._reserved_usd),
                seconds=budget.seconds,
            )

    def _total(self) -> Usage:
        return sum(self._spent.values(), Usage())

    def _add(self, layer: str, usage: Usage) -> None:
        self._spent[layer] = self._spent.get(layer, Usage()) + usage

    def _release(self, reservation: Reservation) -> None:
        self._reserved_tokens -= reservation.tokens
        self._reserved_usd = max(0.0, self._reserved_usd - reservation.usd)

    @staticmethod
    def _fit(name: str, used: float, wanted: float, limit: float | None) -> None:
        # Sums of USD carry the error of floats; counts are exact.
        close = isinstance(limit, float) and math.isclose(used + wanted, limit)
        if limit is not None and used + wanted > limit and not close:
            raise RunStopped(
                StopReason.BUDGET,
                f"The budget of {limit:g} {name} does not allow {wanted:g} more; {used:g} are used or reserved. "
                f"Raise it with Budget({name}=…).",
            )
