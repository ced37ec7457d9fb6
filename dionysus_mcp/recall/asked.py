"""A query as numbers, made by `search` and read by all that judges candidates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.moments import Moments

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as numbers.

    Attributes:
        vectors: As "I" and as "you", shape `(2, dimension)`.
        terms: For each of its words the numbers of its stems, with the word's weight (idf).
        speakers: Numbers of the speakers it names.
        moments: Dates it names.
        wants_time: Whether it asks when; `wants_number`: whether it asks how many.
    """

    vectors: "np.ndarray[Any, Any]"
    terms: Sequence[tuple[Sequence[int], float]]
    speakers: frozenset[int]
    moments: Moments
    wants_time: bool
    wants_number: bool
