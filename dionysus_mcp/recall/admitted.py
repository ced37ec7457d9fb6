"""Which memories a recall may return, and what a memory must fulfil for that, as SQL for either engine."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dionysus_mcp.scope import Scope
from dionysus_mcp.store.schema import Moment
from dionysus_mcp.store.scoping import visible_text

_BELIEVED_NOW = "m.recorded_to IS NULL"
_BELIEVED_THEN = "m.recorded_from <= :as_of AND (m.recorded_to IS NULL OR m.recorded_to > :as_of)"
BOUND: dict[str, dict[str, Any]] = {  # how values of `conditions` are bound that aren't just values
    "types": {"expanding": True},
    "excluded": {"expanding": True},
    "as_of": {"type_": Moment()},
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which memories a recall may return; None means all."""

    memory_types: frozenset[str] | None = None
    exclude_types: frozenset[str] = frozenset()
    session_id: str | None = None

    def admits_type(self, memory_type: str) -> bool:
        """Whether a memory of this type may be returned."""
        wanted = self.memory_types is None or memory_type in self.memory_types
        return wanted and memory_type not in self.exclude_types


def conditions(scope: Scope, admitted: Filter, as_of: datetime | None) -> tuple[str, dict[str, object]]:
    """What a memory `m` must fulfil to be returned, as SQL text, with the values to bind (see `BOUND`)."""
    mine, values = visible_text("m", scope)
    said = [_BELIEVED_NOW if as_of is None else _BELIEVED_THEN, mine]
    if as_of is not None:
        values["as_of"] = as_of
    if admitted.memory_types is not None:
        said.append("m.memory_type IN :types")
        values["types"] = sorted(admitted.memory_types)
    if admitted.exclude_types:
        said.append("m.memory_type NOT IN :excluded")
        values["excluded"] = sorted(admitted.exclude_types)
    if admitted.session_id is not None:
        said.append("m.session_id = :session")
        values["session"] = admitted.session_id
    return " AND ".join(said), values
