"""Vectors in memory, and the nearest of them: exact while they are few, by their signs first when they are many.

Float32 takes 1.5 kB a memory and one pass over all of it for every query. Past `EXACT` memories each is kept as
384 bits and 384 bytes instead: the bits pick `RESCORED` of them or more, the bytes give their cosines.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

EXACT = 20_000
"""Vectors up to which all cosines are computed, in float32."""
RESCORED = 3_000
"""Vectors that the bits pick, at least."""
_ONE_IN = 125
"""They pick one in so many: of fewer, too many of the nearest would be missed among a million."""
_FIRST_CAPACITY = 1024
_CHUNK = 65_536
"""Rows at a time: their distances stay in the processor's cache."""
_AT_ONCE = 256
"""Vectors at a time that are made float32, for the same reason."""


class Matrix:
    """A growing list of unit vectors. Not thread-safe."""

    def __init__(self, dimension: int, exact: int = EXACT) -> None:
        import numpy as np

        self._dimension = dimension
        self._exact = exact
        self._size = 0
        self._floats: np.ndarray[Any, Any] | None = np.zeros((_FIRST_CAPACITY, dimension), dtype=np.float32)
        self._bytes = np.zeros((0, dimension), dtype=np.int8)
        self._scales = np.zeros(0, dtype=np.float32)
        # One array a word of 64 signs: the distances to a query are sums over these arrays.
        self._signs = np.zeros((-(-dimension // 64), 0), dtype=np.uint64)

    def __len__(self) -> int:
        return self._size

    def extend(self, vectors: "np.ndarray[Any, Any]") -> None:
        """Append vectors, shape `(n, dimension)`."""
        import numpy as np

        end = self._size + len(vectors)
        if self._floats is not None and end > self._exact:
            floats, self._floats = self._floats[: self._size], None
            self._size = 0
            self._grow(end)
            for start in range(0, len(floats), _CHUNK):
                self._put(floats[start : start + _CHUNK])
        if self._floats is None:
            self._grow(end)
            self._put(vectors)
            return
        if end > len(self._floats):
            grown = np.zeros((max(end, 2 * len(self._floats)), self._dimension), dtype=np.float32)
            grown[: self._size] = self._floats[: self._size]
            self._floats = grown
        self._floats[self._size : end] = vectors
        self._size = end

    def rows(self, places: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """The vectors at some places, float32."""
        import numpy as np

        if self._floats is not None:
            return self._floats[places]
        return self._bytes[places].astype(np.float32) * self._scales[places][:, None]

    def cosines(self, places: "np.ndarray[Any, Any]", queries: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Of the vectors at some places with each query, `queries` of shape `(n, dimension)`; shape `(places, n)`."""
        import numpy as np

        if self._floats is not None:
            return self._floats[places] @ queries.T
        products = np.empty((len(places), len(queries)), np.float32)
        for start in range(0, len(places), _AT_ONCE):
            part = self._bytes[places[start : start + _AT_ONCE]].astype(np.float32)
            np.matmul(part, queries.T, out=products[start : start + _AT_ONCE])
        # Scaled after the product: one number a vector, not one a dimension.
        return products * self._scales[places][:, None]

    def nearest(self, query: "np.ndarray[Any, Any]", allowed: "np.ndarray[Any, Any] | None", count: int) -> Any:
        """Places of the `count` nearest vectors among those allowed, in no order.

        Args:
            query: Shape `(dimension,)`.
            allowed: Which may be returned, shape `(len(self),)` bool; None for all.
            count: How many.
        """
        import numpy as np

        if self._floats is not None:
            cosines = self._floats[: self._size] @ query
            if allowed is not None:
                cosines[~allowed] = -np.inf
            places = np.arange(self._size)
        else:
            places = self._likely(query, allowed)
            cosines = self.cosines(places, query[None])[:, 0]
        if len(places) > count:
            best = np.argpartition(-cosines, count - 1)[:count]
            places, cosines = places[best], cosines[best]
        return places[np.isfinite(cosines)]

    def _likely(self, query: "np.ndarray[Any, Any]", allowed: "np.ndarray[Any, Any] | None") -> Any:
        import numpy as np

        distances = self._distances(_signs(query[None])[:, 0])
        if allowed is not None:
            distances[~allowed] = self._dimension + 1
        wanted = max(RESCORED, self._size // _ONE_IN)
        # Distances are small whole numbers: counting them finds the bound faster than sorting.
        bound = np.searchsorted(np.cumsum(np.bincount(distances, minlength=self._dimension + 2)), wanted)
        return np.flatnonzero(distances <= min(int(bound), self._dimension))

    def _distances(self, query: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        import numpy as np

        result = np.zeros(self._size, dtype=np.uint16)
        for start in range(0, self._size, _CHUNK):
            part = result[start : start + _CHUNK]
            for word, signs in zip(query, self._signs, strict=True):
                part += np.bitwise_count(signs[start : start + len(part)] ^ word)
        return result

    def _grow(self, end: int) -> None:
        import numpy as np

        if end <= len(self._scales):
            return
        capacity = max(end, len(self._scales) * 3 // 2)
        # One after the other, so that only one of them is held twice.
        for name in ("_bytes", "_scales"):
            old = getattr(self, name)
            new = np.zeros((capacity, *old.shape[1:]), dtype=old.dtype)
            new[: self._size] = old[: self._size]
            setattr(self, name, new)
        signs = np.zeros((len(self._signs), capacity), dtype=np.uint64)
        signs[:, : self._size] = self._signs[:, : self._size]
        self._signs = signs

    def _put(self, vectors: "np.ndarray[Any, Any]") -> None:
        import numpy as np

        end = self._size + len(vectors)
        scales = np.maximum(np.abs(vectors).max(axis=1), 1e-9) / 127
        self._bytes[self._size : end] = np.rint(vectors / scales[:, None])
        self._scales[self._size : end] = scales
        self._signs[:, self._size : end] = _signs(vectors)
        self._size = end


def _signs(vectors: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Signs as bits, shape `(words of 64, n)`."""
    import numpy as np

    packed = np.packbits(vectors > 0, axis=1)
    padded = np.zeros((len(vectors), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    return np.ascontiguousarray(padded.view(np.uint64).T)
