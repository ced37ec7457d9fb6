"""One service for each scope that callers have: a caller's tools reach that caller's memories and no others."""

import threading
from typing import TYPE_CHECKING

from dionysus_mcp.scope import Scope
from dionysus_mcp.service import Opening, Service
from dionysus_mcp.serving.caller import Caller
from dionysus_mcp.settings import MemorySettings

if TYPE_CHECKING:
    from dionysus_mcp.store.access import Store


class Scopes:
    """The services of one server; the server's own scope first, others when a token first asks for them.

    There are as many as the tokens name, so none is ever put away. They share the embedding model.

    Args:
        opening: Gives the server's own service.
        settings: Of the memory, for the other ones.
    """

    def __init__(self, opening: Opening, settings: MemorySettings) -> None:
        self._opening = opening
        self._settings = settings
        self._own = Scope.of(settings)
        self._others: dict[Scope, Service] = {}
        self._lock = threading.Lock()

    def service(self) -> Service:
        """The service of whoever sent the request at hand.

        Raises:
            MemoryStoreError: if the store can't be opened.
        """
        scope = Caller.current().scope
        own = self._opening.service()  # first, as it makes the store where there is none
        if scope is None or scope == self._own:
            return own
        with self._lock:
            if scope not in self._others:
                settings = self._settings.model_copy(update=scope.changes())
                self._others[scope] = Service.open(settings, self._opening.model)
            return self._others[scope]

    def stores(self) -> "list[Store]":
        """The stores of all services that are open, each with its own scope.

        Raises:
            MemoryStoreError: if the server's own can't be opened.
        """
        own = self._opening.service().store
        with self._lock:
            return [own, *(service.store for service in self._others.values())]

    def close(self) -> None:
        """Close all of them."""
        self._opening.close_beside()
        with self._lock:
            for service in self._others.values():
                service.close()
            self._others.clear()
        self._opening.close()
