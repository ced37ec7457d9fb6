"""Which vectors are near each other: all pairs where they are few, by random hyperplanes where they are many.

Hyperplanes (Charikar 2002): vectors with a cosine of .95 agree in a random sign with probability .90, those of .80 with
.80. With 24 bands of 16 signs a pair of .95 shares a band with probability .99, of .90 with .90, of .80 with .46.
"""

from collections.abc import Callable, Iterator
from typing import Any

EXACT = 20_000
"""Vectors up to which every pair is looked at."""
_BLOCK = 1024
_BANDS, _SIGNS = 24, 16
_WINDOW = 16
"""Neighbours within a band that are looked at; without a bound, a thousand like memories would make a million pairs."""
_CHUNK = 50_000


def pairs(
    vectors: Any, least: float, check: Callable[[], None], exact: int = EXACT
) -> "Iterator[tuple[int, int, float]]":
    """Pairs of rows with a cosine of at least `least`, the lower row first, each once, with the cosine.

    Args:
        vectors: Of length 1, shape `(n, dimension)`, float16 or float32.
        least: Smallest cosine.
        check: Called now and then; it may raise to end the search.
        exact: Rows up to which none is missed.
    """
    found = _all(vectors, least, check) if len(vectors) <= exact else _by_signs(vectors, least, check)
    for first, second, cosine in found:
        yield from zip(first.tolist(), second.tolist(), cosine.tolist(), strict=True)


def _all(vectors: Any, least: float, check: Callable[[], None]) -> "Iterator[tuple[Any, Any, Any]]":
    import numpy as np

    whole = vectors.astype(np.float32)
    for start in range(0, len(whole), _BLOCK):
        check()
        cosines = whole[start : start + _BLOCK] @ whole[start:].T
        # Each row's nearest only, for the same reason as the window.
        wide = np.triu(cosines, 1)
        most = min(_WINDOW, wide.shape[1])
        columns = np.argpartition(-wide, most - 1, axis=1)[:, :most].ravel()
        rows = np.repeat(np.arange(len(wide)), most)
        near = wide[rows, columns] >= least
        yield rows[near] + start, columns[near] + start, wide[rows, columns][near]


def _by_signs(vectors: Any, least: float, check: Callable[[], None]) -> "Iterator[tuple[Any, Any, Any]]":
    import numpy as np

    count = len(vectors)
    keys = _signatures(vectors, check)
    known = np.zeros(0, dtype=np.int64)
    for band in keys.T:
        check()
        order = np.argsort(band, kind="stable")
        ordered, found = band[order], [known]
        for step in range(1, min(_WINDOW, count - 1) + 1):
            same = np.flatnonzero(ordered[step:] == ordered[:-step])
            one, other = order[same], order[same + step]
            found.append(np.minimum(one, other) * count + np.maximum(one, other))
        known = np.unique(np.concatenate(found))
    for start in range(0, len(known), _CHUNK):
        check()
        first, second = np.divmod(known[start : start + _CHUNK], count)
        cosines = np.einsum("ij,ij->i", vectors[first].astype(np.float32), vectors[second].astype(np.float32))
        near = cosines >= least
        yield first[near], second[near], cosines[near]


def _signatures(vectors: Any, check: Callable[[], None]) -> Any:
    """Shape `(n, bands)` uint16. Seeded: the same store gives the same plan."""
    import numpy as np

    planes = np.random.default_rng(7).standard_normal((vectors.shape[1], _BANDS * _SIGNS), dtype=np.float32)
    found = np.zeros((len(vectors), _BANDS), dtype=np.uint16)
    for start in range(0, len(vectors), _CHUNK):
        check()
        signs = vectors[start : start + _CHUNK].astype(np.float32) @ planes > 0
        found[start : start + _CHUNK] = np.packbits(signs, axis=1).view(np.uint16)
    return found
