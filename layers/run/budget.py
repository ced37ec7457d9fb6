"""Limits of a run, and what is counted against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Budget(BaseModel):
    """Upper limits of one run over its whole tree of agents; `None` means no limit.

    Attributes:
        steps: actions of all agents together; plans and closing calls do not count as steps.
        model_calls: calls of models, plans, closing calls and repairs among them.
        tokens: prompt and completion tokens together.
        usd: cost of all model calls in USD.
        seconds: time from the start of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int | None = Field(default=None, ge=1, le=1_000_000)
    model_calls: int | None = Field(default=None, ge=1, le=10_000_000)
    tokens: int | None = Field(default=None, ge=1, le=1_000_000_000_000)
    usd: float | None = Field(default=None, gt=0, le=1e9, allow_inf_nan=False)
    seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"{value} is no number")  # noqa: TRY004 - pydantic turns only ValueErrors into its own
        return value

    def part(self, share: float) -> Budget:
        """Return the limits of a layer that may use this share of each, 0 to 1; of whole numbers at least one.

        Seconds are left out: layers at work side by side spend the same ones.
        """

        def whole(limit: int | None) -> int | None:
            return None if limit is None else max(1, int(limit * share))

        usd = None if self.usd is None else self.usd * share
        return Budget(
            steps=whole(self.steps), model_calls=whole(self.model_calls), tokens=whole(self.tokens), usd=usd or None
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent.

    Attributes:
        usd: USD; `None` when the price of at least one call is not known.
        seconds: wall time of a layer, without that of the layers it called.
        estimated: whether some token counts are estimates because the provider sent none.
        overshoot_tokens: tokens billed above what was reserved for their calls; they are among the other counts too.
        overshoot_usd: the same in USD.
    """

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    steps: int = 0
    seconds: float = 0.0
    estimated: bool = False
    overshoot_tokens: int = 0
    overshoot_usd: float = 0.0

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
            self.overshoot_tokens + other.overshoot_tokens,
            self.overshoot_usd + other.overshoot_usd,
        )
