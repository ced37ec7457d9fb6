"""What a layer is: a frozen description that `dionysus.toml`, code and defaults all reduce to."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from layers import abstract, conceptual, consciousness, metacognitive, perceptual
from layers.errors import LayerError

Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
MANAGER = "consciousness"


class LayerSpec(BaseModel):
    """One layer: who thinks, with which model, tools, limit and prompt.

    Attributes:
        name: the layer's name, an adjective by custom (`perceptual`); names its table `[layers.NAME]`.
        call_as: what code calls, the noun (`perception`); the name where it is empty.
        description: one line for the layers that may call it.
        agent: `code` writes Python that runs in the sandbox, `tool_calling` calls tools natively.
        tier: the tier whose model answers.
        max_steps: most actions, 1 to 200; one closing call may follow.
        tools: names of tools: built-in (`recall`), of an MCP server (`github.search_issues`), or the user's own.
        team: layers it may call; `None` means every other layer for the manager, and none for the rest.
        prompt: what the layer is told about its work.
        planning_interval: steps between two planning calls; `None` for no planning.
        share: the part of the run's budget, 0 to 1, that it may use in all its calls together, without the layers it
            calls; when that is used up it ends with what it has. `None` for no limit of its own.
        tool_timeout: seconds that a call of one of the user's own tools may take; the manager's, also a check of an
            answer.
        enabled: `false` takes the layer out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Identifier
    call_as: Identifier | None = None
    description: str = ""
    agent: Literal["code", "tool_calling"] = "code"
    tier: str = "balanced"
    max_steps: int = Field(default=5, ge=1, le=200)
    tools: tuple[str, ...] = ("recall",)
    team: tuple[str, ...] | None = None
    prompt: str = ""
    planning_interval: int | None = Field(default=None, ge=1)
    share: float | None = Field(default=None, gt=0, le=1, allow_inf_nan=False)
    tool_timeout: float = Field(default=120.0, gt=0, le=86_400)
    enabled: bool = True

    @property
    def callable_name(self) -> str:
        """The function name under which other layers' code calls this one."""
        return self.call_as or self.name

    def members(self, layers: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the layers that this one may call, out of those there are."""
        if self.team is not None:
            return self.team
        return tuple(name for name in layers if name != self.name) if self.name == MANAGER else ()


DEFAULTS: Mapping[str, LayerSpec] = {
    "perceptual": LayerSpec(
        name="perceptual",
        call_as="perception",
        description="Finds what memory holds on a task: quotes with their ids, coverage, and which terms are missing.",
        agent="tool_calling",
        tier="fast",
        max_steps=3,
        tools=("recall",),
        prompt=perceptual.PROMPT,
    ),
    "conceptual": LayerSpec(
        name="conceptual",
        call_as="conception",
        description="Breaks a question into parts, recalls each, and joins the findings to claims with their evidence.",
        max_steps=5,
        tools=("recall", "synthesize"),
        prompt=conceptual.PROMPT,
    ),
    "abstract": LayerSpec(
        name="abstract",
        call_as="abstraction",
        description="Settles conflicting claims, follows links between facts, and tests what it concludes.",
        max_steps=7,
        tools=("recall", "synthesize", "reflect", "predict", "resolve"),
        prompt=abstract.PROMPT,
    ),
    "metacognitive": LayerSpec(
        name="metacognitive",
        call_as="metacognition",
        description="Checks claims against memory and decides: accept, look again for named terms, or abstain.",
        max_steps=7,
        tools=("reflect", "revise_model", "recall"),
        prompt=metacognitive.PROMPT,
    ),
    MANAGER: LayerSpec(
        name=MANAGER,
        call_as="consciousness",
        description="Leads the other layers to an answer.",
        max_steps=10,
        tools=("remember",),
        prompt=consciousness.PROMPT,
    ),
}


def resolve_layers(changes: Mapping[str, Mapping[str, Any] | LayerSpec]) -> dict[str, LayerSpec]:
    """Return the layers after a user's changes: defaults kept, changed or removed, new ones added.

    Args:
        changes: per layer name a whole `LayerSpec`, or just the fields to change.

    Raises:
        LayerError: a layer's team names a layer that isn't there, or the manager was removed.
        pydantic.ValidationError: a field is unknown or has a wrong value.
    """
    layers = dict(DEFAULTS)
    for name, change in changes.items():
        if isinstance(change, LayerSpec):
            layers[name] = change
        else:
            known = layers[name].model_dump() if name in layers else {}
            layers[name] = LayerSpec.model_validate({**known, **change, "name": name})
    enabled = {name: spec for name, spec in layers.items() if spec.enabled}
    if MANAGER not in enabled:
        raise LayerError(f"The layer {MANAGER!r} leads the others and can't be removed; change its settings instead.")
    for spec in enabled.values():
        for member in spec.team or ():
            if member not in enabled:
                raise unknown_layer(member, enabled, f"in the team of {spec.name!r}")
    return enabled


def unknown_layer(name: str, layers: Iterable[str], where: str) -> LayerError:
    """Return the error for a layer name that isn't there, with the nearest right one."""
    known = sorted(layers)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
    return LayerError(f"There is no layer {name!r} ({where}). {hint}")
