"""What memory hands out: frozen models, the same on the wire and in Python.

The server returns them as structured tool output, the client parses them back. They know nothing of storage.
Times are aware datetimes in UTC; scores are explained where they stand.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Domain = Literal["user", "self", "world", "task"]
Ending = Literal["superseded", "forgotten"]
IDS_PER_CALL = 200
"""Memories that one call of `get_memories` gives at most."""
Trust = Literal["told", "read"]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


def in_utc(moment: datetime) -> datetime:
    """A moment in UTC, which is meant where no zone is given.

    Raises:
        ValueError: if it is beyond the years 1 to 9999 there: neither Python nor a database has such times.
    """
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} is beyond the years 1 to 9999 in UTC") from None


Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A time that somebody gives, by whatever clock."""


class Record(BaseModel):
    """Base of the records: immutable, and tolerant of fields that a newer server adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Memory(Record):
    """One memory, whole.

    Attributes:
        id: Opaque, stable; what evidence refers to.
        memory_type: A free word such as "episodic", "semantic", "document", "code", "commit" or "answer".
        importance: From 0 to 1.
        metadata_part: Where the metadata are too long for the answer, `metadata` is empty, and this is a piece of them
            as JSON text. The pieces that `get_memories` gives of one id, put together, are the whole; else None.
        source: Where it came from, such as `docs/queue.md:12-20` or `git:1a2b3c4`, or None when it was just told.
        trust: "read" from a file or a history that somebody chose, "told" by a client of the server. Neither is an
            instruction.
        occurred_at: When what it tells happened, if known; `recorded_at` is when it was stored.
        superseded_at: When a newer version replaced it or it was forgotten; None while it is current.
        ended_as: Which of both it was; None while it is current.
        ended_because: The reason that was given, if any.
    """

    id: str
    content: str
    memory_type: str = "episodic"
    importance: Probability = 0.5
    metadata: dict[str, Any] = Field(default_factory=dict)
    metadata_part: str | None = None
    speaker: str | None = None
    session_id: str | None = None
    source: str | None = None
    trust: Trust = "told"
    occurred_at: datetime | None = None
    recorded_at: datetime
    superseded_at: datetime | None = None
    ended_as: Ending | None = None
    ended_because: str | None = None


class MemoryHistory(Record):
    """All versions of one memory.

    Attributes:
        versions: The first one first.
        current: Id of the version that is believed now; None when it was forgotten, or its source no longer says it.
        drawn_from: Ids of what consolidation drew it from, also where somebody has changed it since.
        next_cursor: To the versions that did not fit; a content that was cut goes on there, under the same id.
    """

    about: str | None = None
    versions: list[Memory]
    current: str | None = None
    drawn_from: list[str] = Field(default_factory=list)
    next_cursor: str | None = None


class Passage(Record):
    """A verbatim piece of a memory, a sentence or so, and the cosine of its embedding with the query's."""

    text: str
    similarity: float


class Hit(Record):
    """One memory that a recall found.

    Attributes:
        score: How well it fits beside the other candidates of the same query, in (0, 1): .5 is an average candidate.
            It orders hits; it doesn't compare across queries.
        similarity: Cosine of the query's and the memory's embedding, in [-1, 1], comparable across queries; None where
            the memory has no vector (yet).
        passages: The pieces of its content that are nearest to the query, the nearest first; empty where the content
            is a single piece or has no vector.
        metadata_part: The beginning of the metadata as JSON text, where they are too long for the answer; `metadata` is
            empty then, and `get_memories` gives all.
        superseded_at: Only in a recall of the past: when the store ceased to believe it; None if it still does.
    """

    id: str
    content: str
    score: float
    similarity: float | None = None
    passages: list[Passage] = Field(default_factory=list[Passage])
    memory_type: str = "episodic"
    metadata: dict[str, Any] = Field(default_factory=dict)
    metadata_part: str | None = None
    speaker: str | None = None
    session_id: str | None = None
    source: str | None = None
    trust: Trust = "told"
    occurred_at: datetime | None = None
    recorded_at: datetime | None = None
    superseded_at: datetime | None = None


class Recall(Record):
    """The answer to a query, best hit first.

    Attributes:
        missing_terms: The rare words of the query that no hit covers, in the query's order and spelling.
        mode: "hybrid", or "keyword" while there is no embedder; `notice` then says why.
        notice: What a reader of the hits should know: keyword recall only, hits left out for the token budget.
        next_cursor: To the hits that follow; None after the last.
        about: How to take what is recalled.
    """

    about: str | None = None
    hits: list[Hit] = Field(default_factory=list[Hit])
    missing_terms: list[str] = Field(default_factory=list)
    mode: Literal["hybrid", "keyword"] = "hybrid"
    notice: str | None = None
    next_cursor: str | None = None


class Revision(Record):
    """One version of a mental model and how its predictions had fared when it was left."""

    version: int
    statement: str
    reason: str
    at: datetime
    accuracy: float | None = None
    resolved: int = 0


class MentalModel(Record):
    """A belief that makes predictions and is judged by them.

    Attributes:
        accuracy: Mean of the Beta posterior of its being right, from a uniform prior; None before any resolution.
        alpha: The posterior's first parameter: 1 + predictions that came out as the model held more likely.
        beta: The posterior's second parameter: 1 + those that did not.
        brier: Mean Brier score of its resolved predictions, 0 (best) to 1; None before any.
        history: All versions, the first first; the last is the current one.
        next_cursor: To versions that did not fit.
    """

    id: str
    domain: Domain
    statement: str
    concepts: list[str] = Field(default_factory=list)
    prediction_templates: list[str] = Field(default_factory=list)
    status: Literal["active", "needs_revision", "retired"] = "active"
    version: int = 1
    created_at: datetime
    alpha: float = 1.0
    beta: float = 1.0
    accuracy: float | None = None
    brier: float | None = None
    open_predictions: int = 0
    resolved_predictions: int = 0
    history: list[Revision] = Field(default_factory=list[Revision])
    next_cursor: str | None = None


class MentalModels(Record):
    """A page of mental models.

    Attributes:
        next_cursor: To those that did not fit.
    """

    about: str | None = None
    models: list[MentalModel]
    next_cursor: str | None = None


class Prediction(Record):
    """A statement with a probability, waiting for an observation, or scored by one.

    Attributes:
        rule: How a text observation is judged: `contains: WORDS` or `lacks: WORDS`; None where only a yes or no
            resolves it.
        status: "expired" means its time ran out unobserved: it is never scored.
        brier: (probability - outcome) squared, 0 (best) to 1 (Brier 1950).
        log_score: Natural logarithm of the probability given to what happened, at most 0 (Good 1952).
    """

    id: str
    model_id: str
    statement: str
    probability: Probability
    context: str | None = None
    rule: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    status: Literal["open", "resolved", "expired"] = "open"
    outcome: bool | None = None
    observation: str | None = None
    resolved_at: datetime | None = None
    brier: float | None = None
    log_score: float | None = None


class GraphHealth(Record):
    """Whether the knowledge graph is up to date.

    Attributes:
        kept_in: "neo4j" where the settings name one that mirrors the store's graph.
        unread: Memories that are still to be read for entities.
        waiting: Changes that Neo4j must still be told of; they are kept in the store.
        unavailable_since: When Neo4j ceased to answer; None while it does. The store answers meanwhile.
        detail: Why it doesn't.
    """

    kept_in: Literal["store", "neo4j"] = "store"
    unread: int = 0
    waiting: int = 0
    unavailable_since: datetime | None = None
    detail: str | None = None


class MemoryHealth(Record):
    """Whether recall has all it needs.

    Attributes:
        embedder: "ready"; "loading" and "failed" (see `detail`) leave keyword recall; "off" is by the settings.
        pending: Memories that still wait for their vector.
        graph: Of the knowledge graph; None from a server that has none.
    """

    embedder: Literal["loading", "ready", "failed", "off"]
    model: str | None = None
    memories: int = 0
    pending: int = 0
    detail: str | None = None
    graph: GraphHealth | None = None


class ConsciousnessState(Record):
    """What is in mind now: how much is remembered, what came last, which beliefs hold, what is predicted.

    Attributes:
        memories: Number of current memories by type.
        recent: The latest memories, newest first.
        models: Active mental models, those that need revision first.
        predictions: Open predictions, the next to expire first.
        notice: What was left out for the token budget, and how to get it.
        about: How to take what is recorded.
    """

    about: str | None = None
    total_memories: int
    memories: dict[str, int] = Field(default_factory=dict)
    recent: list[Memory] = Field(default_factory=list[Memory])
    models: list[MentalModel] = Field(default_factory=list[MentalModel])
    predictions: list[Prediction] = Field(default_factory=list[Prediction])
    health: MemoryHealth
    notice: str | None = None
