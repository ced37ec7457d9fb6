"""What a consolidation would do, does and did: frozen records, the same in Python and as JSON."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Band = Literal["strong", "fading", "faded"]


class Record(BaseModel):
    """Base of the records."""

    model_config = ConfigDict(frozen=True)


class Quote(Record):
    """A piece of a memory, word for word; `start` and `stop` are characters of its content."""

    memory_id: str
    text: str
    start: int
    stop: int
    occurred_at: datetime | None = None


class Supersede(Record):
    """A memory is superseded by another one that says all it says.

    Attributes:
        memory_id: Of the memory that ends.
        survivor_id: Of the one that stays.
        similarity: Cosine of both; None where one has no vector.
        differing: Words that one has and the other hasn't.
    """

    kind: Literal["supersede"] = "supersede"
    memory_id: str
    content: str
    survivor_id: str
    survivor: str
    similarity: float | None = None
    differing: list[str] = []


class Link(Record):
    """Two memories that say much the same are linked; both stay, since words tell them apart."""

    kind: Literal["link"] = "link"
    memory_id: str
    content: str
    other_id: str
    other: str
    similarity: float
    differing: list[str]


class Extract(Record):
    """What several episodes state becomes a semantic memory beside them.

    Attributes:
        memory_id: Of the new memory; None before it is there.
        content: The new memory's text.
        sources: What states it, the oldest first, each with its words.
        method: "quote" where the text is a source's own words, "model" where a language model wrote it and every word
            that carries a fact was found in the sources.
    """

    kind: Literal["extract"] = "extract"
    memory_id: str | None = None
    content: str
    speaker: str | None = None
    sources: list[Quote]
    method: Literal["quote", "model"] = "quote"


class Retire(Record):
    """A semantic memory ends, since what it was drawn from is no longer believed."""

    kind: Literal["retire"] = "retire"
    memory_id: str
    content: str
    lost: list[str] = Field(description="Ids of sources that ended.")


class Fade(Record):
    """A memory's retention has come to another band; it is recalled as before.

    Attributes:
        retention: From 0 to 1, how likely it would still be in mind; None where a past run is told of.
    """

    kind: Literal["fade"] = "fade"
    memory_id: str
    content: str
    retention: float | None
    before: Band
    after: Band


Action = Annotated[Supersede | Link | Extract | Retire | Fade, Field(discriminator="kind")]


class Dropped(Record):
    """What a language model claimed and its sources don't say; it is not stored."""

    claim: str
    reason: str


class Plan(Record):
    """What would be done; nothing has been changed.

    Attributes:
        scope: Whose memories, as people read it.
        examined: Current memories that were looked at.
        actions: In the order in which they would be done.
        left_out: Further actions that `limit` left for another run.
        dropped: Claims of a language model that were refused.
        seen: How much was in the store.
    """

    scope: str
    examined: int
    actions: list[Action]
    left_out: int = 0
    dropped: list[Dropped] = []
    seen: int = 0

    def count(self, kind: str) -> int:
        """How many actions of a kind there are."""
        return sum(one.kind == kind for one in self.actions)


class Skipped(Record):
    """An action that was not done, or not undone, and why."""

    action: Action
    reason: str


class Run(Record):
    """What a run did.

    Attributes:
        status: "interrupted" when it was killed or still goes on; what it did until then is done, and can be undone.
        done: How many actions of each kind.
        undone: How many of them were taken back.
        skipped: Only in the answer to the call itself: what the store no longer allowed.
    """

    id: str
    started_at: datetime
    ended_at: datetime | None = None
    undone_at: datetime | None = None
    status: Literal["done", "interrupted", "undone"]
    done: dict[str, int]
    undone: int = 0
    skipped: list[Skipped] = []
