"""What the layers of one `Mind` share: specs, models, tools, sandbox, and the loop that carries their calls."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.errors import LayerError, UnknownTool
from layers.spec import MANAGER, LayerSpec
from layers.tiers.base import ChatRequest

if TYPE_CHECKING:
    from layers.guards import Guard
    from layers.tiers.registry import Tiers
    from layers.toolbox import Toolbox
    from sandbox import Backend


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything a delegation builds an agent from; made once by `cognition.parts`.

    Attributes:
        layers: the enabled layers by name.
        tiers: who answers model calls.
        toolbox: the tools that layers may name.
        backend: where code runs.
        guard: decides whether a tool may be called; `None` lets every call happen.
    """

    layers: Mapping[str, LayerSpec]
    tiers: Tiers
    toolbox: Toolbox
    backend: Backend
    guard: Guard | None = None

    def check(self) -> None:
        """Look every tier and tool up before anything is spent.

        Raises:
            LayerError: a layer names a tier or tool that isn't there, or would call two things by one name.
        """
        for spec in self.layers.values():
            self.tiers.model(spec.tier)
            try:
                self.toolbox.check(spec.tools)
            except UnknownTool as error:
                raise UnknownTool(f"[layers.{spec.name}] tools: {error}") from None
            self._check_names(spec)

    def check_prices(self) -> None:
        """Look every layer's price up, for a budget in USD.

        Raises:
            LayerError: a model has no known price; the message names it and the setting.
        """
        for spec in self.layers.values():
            model = self.tiers.model(spec.tier)
            if model.bound(ChatRequest(())).usd is None:
                names = self._unpriced(spec.tier) or [model.model_id]
                raise LayerError(
                    f"A budget in USD needs the price of every model; that of {' and '.join(map(repr, names))} (tier "
                    f"{spec.tier!r}, layer {spec.name!r}) is not known. Set input_usd_per_million and "
                    f"output_usd_per_million in [tiers.{spec.tier}], or give a budget of tokens instead."
                )

    def tool_names(self, spec: LayerSpec) -> tuple[str, ...]:
        """Return the tools of a layer; the manager also has those of the user's that no layer names."""
        if spec.name != MANAGER:
            return spec.tools
        named = {name for other in self.layers.values() for name in other.tools}
        return (*spec.tools, *(name for name in self.toolbox.own if name not in named))

    def _unpriced(self, tier: str) -> list[str]:
        rows = {row.tier: row for row in self.tiers.describe()}
        return [each.model for each in rows[tier].deployments if not each.price_known] if tier in rows else []

    def _check_names(self, spec: LayerSpec) -> None:
        meanings = {"final_answer": "how a layer ends", "delegate": "how a layer calls several at once"}
        for name, meaning in self._callables(spec):
            if keyword.iskeyword(name) or hasattr(builtins, name):
                raise LayerError(f"{name!r}, {meaning}, is a word of Python: choose another name.")
            if name in meanings:
                both = f"{meaning} twice" if meanings[name] == meaning else f"{meanings[name]} and {meaning}"
                raise LayerError(f"The layer {spec.name!r} would call two things {name!r}: {both}. Rename one of them.")
            meanings[name] = meaning

    def _callables(self, spec: LayerSpec) -> Iterator[tuple[str, str]]:
        """Yield what a layer calls: each name with its meaning in words."""
        for tool in self.tool_names(spec):
            yield self.toolbox[tool].name, f"the tool {tool!r}"
        for member in spec.members(self.layers):
            yield self.layers[member].callable_name, f"the layer {member!r}"
