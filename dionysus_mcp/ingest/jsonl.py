"""Memories as JSON, one object a line: an import from elsewhere, or a conversation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dionysus_mcp.ingest.pieces import Line
from dionysus_mcp.records import Moment, Probability


class Entry(BaseModel):
    """What a line may hold; only `content` must be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: str
    speaker: str | None = None
    occurred_at: Moment | None = None
    session_id: str | None = None
    memory_type: str = Field(default="episodic", min_length=1)
    importance: Probability = 0.5
    metadata: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no memory, and why."""

    number: int
    reason: str


def entries(lines: Iterable[Line]) -> Iterator[tuple[int, Entry] | BadLine]:
    """The entries with their line numbers; blank lines are passed over, bad ones reported."""
    for line in lines:
        if not line.text.strip():
            continue
        try:
            yield line.number, Entry.model_validate_json(line.text)
        except ValidationError as error:
            yield BadLine(line.number, _reason(error))


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else first["msg"]
