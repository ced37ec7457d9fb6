"""One attack: what the code tries, how that ends where its defence is gone, and how where it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Attack:
    """A row of a table. Outcomes are regular expressions: for what the last step shows, prints or raises.

    Attributes:
        name: of the attack, as the threat model's page lists it.
        code: a step, or several; the outcome is that of the last one.
        without: names of the defences that are removed for the proof, all at once.
        control: the same with nothing wrong in it, which must do its work in a whole box: where no defence can be
            removed, this proves that the attack's means are sound.
        works: the outcome of the proof.
        held: the outcome where nothing is removed.
        limits: of the box, in both runs.
        then: what the host does after the code; the outcome is what that returns.
        litters: what it leaves behind that would disturb the next attack: things in its worker, or in its box.
        lost: it costs the worker its life, and the agent is told; None where both may come of it.
        where: name of what this machine must have for the proof; see `machine`.
        unproved: why no proof is tried.
    """

    name: str
    code: str | tuple[str, ...]
    without: tuple[str, ...] = ()
    control: str | tuple[str, ...] = ()
    works: str = "reached"
    held: str = "PermissionError|EPERM"
    limits: Mapping[str, Any] = field(default_factory=dict)
    then: Callable[[Sandbox], Any] | None = None
    litters: Literal["", "worker", "box"] = ""
    lost: bool | None = False
    where: str | None = None
    unproved: str | None = None
