"""What speaks for each candidate of a query, as numbers; `weights` adds them up. Knows no text and no store."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.around import Around
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.candidates import Glimpse, look
from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.moments import agreement
from dionysus_mcp.recall.pieces import Close, word_by_word
from dionysus_mcp.recall.views import Trait
from dionysus_mcp.recall.wording import standing

if TYPE_CHECKING:
    import numpy as np

_TRAITS = {"question": Trait.QUESTION, "time": Trait.TIME, "number": Trait.NUMBER, "name": Trait.NAME}
_FEEDBACK_FROM = 10
"""Candidates from which the best three say what is meant; of fewer they are nearly all, and say nothing."""


def features(
    index: MemoryIndex,
    asked: Asked,
    places: "np.ndarray[Any, Any]",
    best_passages: Mapping[int, Any],
    close: Close | None,
    known: Glimpse | None = None,
) -> "dict[str, np.ndarray[Any, Any]]":
    """Features of the memories at `places`, each an array of their length.

    Args:
        index: Held locked.
        asked: The query.
        places: The candidates, each once.
        best_passages: By place, the best cosines of its passages with both vectors, where it has several.
        close: How close their pieces are to the query's, from `pieces.closest`; None where they aren't compared.
        known: What was read of them already.
    """
    seen = look(index, asked, places, known)
    around, worded, light = seen.around, seen.worded, seen.light
    near = _near(seen.glimpse.cosines[around.at], places, best_passages)
    base = standing(seen.quick + 0.4 * (near["passage_i"] + near["passage_you"]))
    beside = zip(("before", "after", "two_before", "two_after"), around.beside, strict=True)
    next_to = _next_to(seen.glimpse.cosines.sum(axis=1), seen.words, around)
    answers = _answers(index, around)
    return {
        **near,
        **worded,
        "speaker": seen.speaks[around.at],
        **{name: light[step] for name, step in beside},
        **next_to,
        "dated": agreement(asked.moments, index.column("days", places)),
        "feedback": _feedback(index, places, base),
        "answers": answers,
        "replies": answers * light[around.beside[0]],
        "replies_near": answers * next_to["before_near"],
        **_seen(index, asked, places),
        "first": _first(index, places, around),
        "base": base,
        **_threads(index.column("threads", places), base),
        **word_by_word(close, index.column("threads", places), _among(around)),
    }


def _among(around: Around) -> "list[np.ndarray[Any, Any]]":
    """Which candidate stands before, two before and after each; `NOBODY` where that is none of them."""
    import numpy as np

    own = np.full(len(around.units), NOBODY, dtype=np.int64)
    own[around.at] = np.arange(len(around.at))
    before, after, two_before, _ = around.beside
    return [own[before], own[two_before], own[after]]


def _near(cosines: Any, places: Any, best_passages: Mapping[int, Any]) -> "dict[str, np.ndarray[Any, Any]]":
    """How close each candidate is to the question as "I" and as "you": as a whole, and by its best passage."""
    passage = cosines.copy()
    for number, place in enumerate(places.tolist()):
        if place in best_passages:
            passage[number] = best_passages[place]
    return {
        "plain_i": standing(cosines[:, 0]),
        "plain_you": standing(cosines[:, 1]),
        "passage_i": standing(passage[:, 0]),
        "passage_you": standing(passage[:, 1]),
    }


def _next_to(cosine: Any, words: Any, around: Around) -> "dict[str, np.ndarray[Any, Any]]":
    """How well what stands next to each candidate fits, by meaning and by words apart."""
    found: dict[str, Any] = {}
    for side, at in zip(("before", "after"), around.beside[:2], strict=True):
        for name, values in (("near", cosine), ("words", words)):
            own = values[around.at]
            found[f"{side}_{name}"] = ((values - own.mean()) / max(float(own.std()), 1e-6) * around.here)[at]
    return found


def _feedback(index: MemoryIndex, places: Any, base: Any) -> "np.ndarray[Any, Any]":
    """How close each candidate is to the best three."""
    import numpy as np

    if len(places) < _FEEDBACK_FROM:
        return np.zeros(len(places))
    own = index.matrix.rows(places)
    return standing(own @ own[np.argsort(-base, kind="stable")[:3]].mean(axis=0))


def _seen(index: MemoryIndex, asked: Asked, places: Any) -> "dict[str, np.ndarray[Any, Any]]":
    """What can be seen in each candidate, and whether the query wants it."""
    import numpy as np

    traits = index.column("traits", places)
    seen = {name: ((traits & trait) > 0).astype(np.float32) for name, trait in _TRAITS.items()}
    wanted = {"time_wanted": seen["time"] * asked.wants_time, "number_wanted": seen["number"] * asked.wants_number}
    return seen | wanted


def _first(index: MemoryIndex, places: Any, around: Around) -> "np.ndarray[Any, Any]":
    """Whether nothing stands before it in its thread."""
    import numpy as np

    begins = around.units[around.beside[0]] == NOBODY
    return (begins & (index.column("threads", places) != NOBODY)).astype(np.float32)


def _answers(index: MemoryIndex, around: Around) -> "np.ndarray[Any, Any]":
    """Whether what stands before it is a question."""
    import numpy as np

    asks = (index.column("traits", around.safe) & Trait.QUESTION) > 0
    return (asks & around.here)[around.beside[0]].astype(np.float32)


def _threads(threads: Any, base: Any) -> "dict[str, np.ndarray[Any, Any]]":
    """How well a candidate's thread fits as a whole: its best, and the mean of its best three."""
    import numpy as np

    # By thread, the best first: then the best three of each stand at its beginning.
    order = np.lexsort((-base, threads))
    starts = np.flatnonzero(np.r_[True, np.diff(threads[order]) != 0])
    sizes = np.diff(np.r_[starts, len(order)])
    ranked = base[order]
    total = ranked[starts].copy()
    for step in (1, 2):
        # A thread of fewer has worse than average ones in their stead.
        total += np.where(sizes > step, ranked[np.minimum(starts + step, len(order) - 1)], -1.0)
    best, three = np.empty(len(base)), np.empty(len(base))
    best[order], three[order] = np.repeat(ranked[starts], sizes), np.repeat(total / 3, sizes)
    alone = threads == NOBODY
    best[alone] = three[alone] = 0.0
    return {"thread_best": best, "thread_three": standing(three)}
