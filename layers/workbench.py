"""What the layers of one `Mind` share: specs, models, tools, sandbox, and the loop that carries their calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layers.spec import MANAGER, LayerSpec

if TYPE_CHECKING:
    from layers.tiers.registry import Tiers
    from layers.toolbox import Toolbox
    from sandbox import Backend


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything a delegation builds an agent from; made once by `cognition.mind`.

    Attributes:
        layers: the enabled layers by name.
        tiers: who answers model calls.
        toolbox: the tools that layers may name.
        backend: where code runs.
    """

    layers: Mapping[str, LayerSpec]
    tiers: Tiers
    toolbox: Toolbox
    backend: Backend

    def check(self) -> None:
        """Look every tier and tool up before anything is spent.

        Raises:
            LayerError: a layer names a tier or tool that isn't there.
        """
        for spec in self.layers.values():
            self.tiers.model(spec.tier)
            self.toolbox.check(spec.tools)

    def tool_names(self, spec: LayerSpec) -> tuple[str, ...]:
        """Return the tools of a layer; the manager also has those of the user's that no layer names."""
        if spec.name != MANAGER:
            return spec.tools
        named = {name for other in self.layers.values() for name in other.tools}
        return (*spec.tools, *(name for name in self.toolbox.own if name not in named))
