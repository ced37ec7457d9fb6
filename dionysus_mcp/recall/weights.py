"""The few weights that make one score of a candidate's features; the file says where they come from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

FILE = Path(__file__).parent / "weights.json"


def load(path: Path = FILE) -> dict[str, dict[str, float]]:
    """Weights by the name of the feature.

    "told" where memories mostly have speakers, "written" for documents, and "told_without_pieces" for what was told and
    has no word pieces yet; a file without these takes "told" for them.
    """
    held = json.loads(path.read_text(encoding="utf-8"))
    bare = held.get("told_without_pieces", held["told"])
    return {"told": held["told"], "told_without_pieces": bare, "written": held["written"]}


def score(found: "Mapping[str, np.ndarray[Any, Any]]", weights: Mapping[str, float]) -> "np.ndarray[Any, Any]":
    """Scores in (0, 1): the logistic function of how far the weighted sum stands out; .5 is an average candidate."""
    import numpy as np

    from dionysus_mcp.recall.features import standing

    total = np.sum([weights.get(name, 0.0) * values for name, values in found.items()], axis=0)
    return 1.0 / (1.0 + np.exp(-standing(total)))
