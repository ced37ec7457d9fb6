"""Candidates of a query together with what stands beside them in their threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.index import NOBODY, MemoryIndex

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Around:
    """The candidates and what stands beside them in their threads, each once.

    Attributes:
        units: Their places; `NOBODY` stands for all that isn't there.
        at: Where the candidates are in `units`.
        beside: Where what stands before, after, two before and two after each candidate is in `units`.
    """

    units: "np.ndarray[Any, Any]"
    at: "np.ndarray[Any, Any]"
    beside: "Sequence[np.ndarray[Any, Any]]"

    @property
    def here(self) -> "np.ndarray[Any, Any]":
        """Which of `units` are memories."""
        return self.units != NOBODY

    @property
    def safe(self) -> "np.ndarray[Any, Any]":
        """Places to read; what is read for `NOBODY` means nothing."""
        return self.units.clip(min=0)


def around(index: MemoryIndex, places: "np.ndarray[Any, Any]") -> Around:
    """What stands within two steps of the memories at some places."""
    import numpy as np

    one = [index.beside(places, step) for step in (-1, 1)]
    two = [index.beside(link, step) for link, step in zip(one, (-1, 1), strict=True)]
    units, inverse = np.unique(np.concatenate([places, *one, *two]), return_inverse=True)
    at, *beside = inverse.reshape(5, -1)
    return Around(units, at, beside)
