"""What a search needs of an embedder, without its thread: vectors are there when it is told to follow."""

from dionysus_mcp.recall.embedder import embed_missing
from dionysus_mcp.recall.index import MemoryIndex
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.store.vectors import Vectors


class Embedded:
    def __init__(self, store, model):
        self.model = model
        self._stemmer = Stemmer()
        self._vectors = None if model is None else Vectors(store, model.model_id, model.dimension)
        self.index = None if self._vectors is None else MemoryIndex(self._vectors)

    def follow(self):
        while self._vectors is not None and embed_missing(self._vectors, self.model, 256, self._stemmer):
            pass

    def notice(self):
        return None

    def backlog(self, _connection, _last):
        return None

    def close(self):
        self._stemmer.close()
