"""The package's errors, each named for what the caller can do about it."""

COMPLAINT = "dionysus-memory: "
"""How the memory server begins its last words on standard error: one line that a client may repeat as it is."""
_LONGEST = 60


def named(given: str) -> str:
    """What a caller gave, as an error repeats it: quoted, and cut where it would only fill the caller's context."""
    return repr(given) if len(given) <= _LONGEST else f"{given[:_LONGEST]!r}… ({len(given):,} characters)"


class DionysusMcpError(Exception):
    """Base of everything that this package raises on purpose."""


class MemoryStoreError(DionysusMcpError):
    """The store can't do what was asked: not our database, a newer one, an unknown id, a value it refuses."""


class NoStoreYet(MemoryStoreError):
    """Nothing was remembered there yet, and asking doesn't make a store.

    Attributes:
        name: Where it would be: the file, or the host and database.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no memory store at {name} yet; `dionysus remember` makes one.")
        self.name = name


class GraphUnavailable(MemoryStoreError):
    """Neo4j doesn't answer or refuses us; the store has the whole graph, and what changes waits there for it."""


class EmbedderError(MemoryStoreError):
    """The embedding model is missing or altered; recall by keywords still works."""


class McpUnavailable(DionysusMcpError):
    """A server could not be started or reached, or is gone and did not come back after one reconnect."""


class McpToolMissing(McpUnavailable):
    """The server answers but lacks tools that the caller requires; the message names them."""


class McpTimeout(McpUnavailable):
    """A call got no answer within its time limit; the connection stays usable for other calls."""


class McpToolError(DionysusMcpError):
    """The tool ran and reported an error (`isError`), or refused its arguments; the message is the tool's text."""

    def __init__(self, message: str, *, server: str, tool: str) -> None:
        super().__init__(message)
        self.server = server
        self.tool = tool
