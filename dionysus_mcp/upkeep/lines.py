"""The lines of an export: one JSON object each, with everything that is told about a memory or a belief.

The first line says what the file is, the last one how many lines of each kind it has, so that a cut file is noticed.
Scopes are not in it: an export holds one scope, and an import puts it into the scope that it is given.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dionysus_mcp.records import in_utc

FORMAT = "dionysus-memory"
FORMAT_VERSION = 2
LONGEST = 64 * 1024 * 1024
"""Bytes of one line; a file without line feeds must not fill the memory."""

Text = Annotated[str, Field(min_length=1)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Ordinal = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""As far as every database counts."""


class Line(BaseModel):
    """Base of the lines. Fields that a newer version adds are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Header(Line):
    """The first line."""

    kind: Literal["header"] = "header"
    format: Literal["dionysus-memory"] = FORMAT
    version: Annotated[int, Field(ge=1)] = FORMAT_VERSION


class MemoryLine(Line):
    """One version of a memory; `context` is without the speaker."""

    kind: Literal["memory"] = "memory"
    id: Text
    content: Text
    context: str = ""
    memory_type: Text
    importance: Share
    metadata: dict[str, Any]
    speaker: str | None = None
    session_id: str | None = None
    source: str | None = None
    source_position: str | None = None
    origin: str | None = None
    occurred_at: Moment | None = None
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    recorded_from: Moment
    recorded_to: Moment | None = None
    lineage: str | None = None
    ending: Literal["superseded", "forgotten"] | None = None
    ending_reason: str | None = None


class FileLine(Line):
    """A file that was taken in."""

    kind: Literal["file"] = "file"
    origin: Text
    digest: str
    pieces: Count
    recorded_at: Moment


class ModelLine(Line):
    """A mental model as it is now."""

    kind: Literal["mental_model"] = "mental_model"
    id: Text
    domain: Literal["user", "self", "world", "task"]
    statement: Text
    concepts: list[str]
    prediction_templates: list[str]
    status: Literal["active", "needs_revision", "retired"]
    version: Ordinal
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    created_at: Moment


class RevisionLine(Line):
    """One version of a mental model."""

    kind: Literal["model_revision"] = "model_revision"
    model_id: Text
    version: Ordinal
    statement: Text
    reason: Text
    at: Moment
    accuracy: Share | None = None
    resolved: Count


class PredictionLine(Line):
    """One prediction."""

    kind: Literal["prediction"] = "prediction"
    id: Text
    model_id: Text
    model_version: Ordinal
    statement: Text
    probability: Share
    context: str | None = None
    rule: str | None = None
    created_at: Moment
    expires_at: Moment | None = None
    status: Literal["open", "resolved", "expired"]
    outcome: bool | None = None
    observation: str | None = None
    resolved_at: Moment | None = None
    brier: Share | None = None
    log_score: Annotated[float, Field(le=0)] | None = None

    @model_validator(mode="after")
    def _has_its_outcome(self) -> Self:
        if self.status == "resolved" and self.outcome is None:
            raise PydanticCustomError("outcome", "a resolved prediction has an outcome, true or false")
        return self


class RelationLine(Line):
    """A relation of the graph that was told, or ended; what memories tell by themselves is not in the file."""

    kind: Literal["relation"] = "relation"
    subject: Text
    subject_kind: Literal["person", "organisation", "place", "thing", "concept"]
    type: Text
    object: Text
    object_kind: Literal["person", "organisation", "place", "thing", "concept"]
    memory_id: str | None = None
    extractor: Text
    told_by: str | None = None
    confidence: Share
    first: Count | None = None
    last: Count | None = None
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    recorded_from: Moment
    recorded_to: Moment | None = None
    ending_reason: str | None = None


class EndLine(Line):
    """The last line: how many lines of each kind there were."""

    kind: Literal["end"] = "end"
    counts: dict[str, int]


Held = MemoryLine | FileLine | ModelLine | RevisionLine | PredictionLine | RelationLine
AnyLine = Annotated[Header | Held | EndLine, Field(discriminator="kind")]
