"""What a memory tells the graph: whom and what it mentions, and which relations it states."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from dionysus_mcp.graph import names
from dionysus_mcp.graph.finding import Written, without_first_word, written_in
from dionysus_mcp.graph.patterns import Said, said_in
from dionysus_mcp.graph.sentences import sentences

RULES = "patterns"
"""The name of the reader that needs no model."""
UNREAD_TYPES = frozenset({"answer", "code"})
"""Answers would come back as if somebody else had said them; in code a capital letter means something else."""
MOST_NAMES = 40
"""Entities of one memory, the first ones; a list of thousands of names is no memory of any of them."""
MOST_RELATIONS = 20
SURE = 0.9
"""Confidence in a relation that a pattern found."""


@dataclass(frozen=True, slots=True)
class Told:
    """A memory as a reader sees it."""

    seq: int
    id: str
    content: str
    memory_type: str
    speaker: str | None
    owner: str
    session_id: str | None
    recorded_from: datetime
    valid_from: datetime | None

    @classmethod
    def of(cls, row: Row[Any]) -> "Told":
        """From a row that has these columns."""
        return cls(
            row.seq,
            row.id,
            row.content,
            row.memory_type,
            row.speaker,
            row.owner,
            row.session_id,
            row.recorded_from,
            row.valid_from,
        )


@dataclass(frozen=True, slots=True)
class Named:
    """An entity that a memory mentions."""

    name: str
    kind: str
    how: str

    @property
    def key(self) -> str:
        """The name's normal form."""
        return names.key_of(self.name)


@dataclass(frozen=True, slots=True)
class Stated:
    """A relation that a memory states; `first` and `last` are where its sentence stands, if anywhere."""

    subject: str
    type: str
    object: str
    extractor: str = RULES
    confidence: float = SURE
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All that one memory tells; the ends of every relation are among the names."""

    memory: Told
    names: Sequence[Named] = ()
    relations: Sequence[Stated] = ()


@dataclass(slots=True)
class _Draft:
    """What was found so far, by key."""

    named: dict[str, Named] = field(default_factory=dict[str, Named])
    relations: list[Stated] = field(default_factory=list[Stated])
    unsure: list[Written] = field(default_factory=list[Written])

    def add(self, name: str, kind: str, how: str) -> None:
        key = names.key_of(name)
        if not key or len(name) > names.LONGEST:
            return
        known = self.named.get(key)
        if known is None:
            self.named[key] = Named(name, kind, how)
        elif known.kind in ("thing", "concept") and kind not in ("thing", "concept"):
            self.named[key] = Named(known.name, kind, known.how)


class Draft:
    """A memory that was read, before it is known which of its unsure names are names.

    Args:
        memory: The one to read.
    """

    def __init__(self, memory: Told) -> None:
        self.memory = memory
        self._draft = _Draft()
        speaker = names.shown(memory.speaker or "")
        self._speaker = speaker if names.key_of(speaker) else None
        if memory.memory_type not in UNREAD_TYPES:
            self._read()

    def asks(self) -> set[str]:
        """Keys of which the reader would like to know whether they are entities already."""
        whole = {one.key for one in self._draft.unsure}
        return whole | {rest.key for one in self._draft.unsure if (rest := without_first_word(one))}

    def found(self, known: Collection[str]) -> Found:
        """What it tells, given the keys that are known to be entities."""
        sure = self._draft.named.keys() | set(known)
        for one in self._draft.unsure:
            if kept := _kept(one, sure):
                self._draft.add(kept.name, kept.kind, "name")
        ends = {names.key_of(end) for each in self._draft.relations for end in (each.subject, each.object)}
        listed = sorted(self._draft.named.values(), key=lambda one: one.key not in ends)[:MOST_NAMES]
        held = {one.key for one in listed}
        relations = [
            one
            for one in self._draft.relations[:MOST_RELATIONS]
            if {names.key_of(one.subject), names.key_of(one.object)} <= held
        ]
        return Found(self.memory, listed, relations)

    def _read(self) -> None:
        if self._speaker is not None:
            self._draft.add(self._speaker, "person", "speaker")
        text = self.memory.content
        for first, last in sentences(text):
            if len(self._draft.named) > MOST_NAMES:
                break
            written = written_in(text, first, last)
            for one in written:
                if one.sure:
                    self._draft.add(one.name, one.kind, one.how)
                else:
                    self._draft.unsure.append(one)
            said = said_in(text, first, last, [one for one in written if one.how == "name"], self._speaker)
            self._state(said, first, last)

    def _state(self, said: Iterable[Said], first: int, last: int) -> None:
        for one in said:
            for name, kind in zip((one.subject, one.object), one.kinds, strict=True):
                self._draft.add(name, kind or "thing", "name")
            self._draft.relations.append(Stated(one.subject, one.type, one.object, first=first, last=last))


def _kept(one: Written, sure: Collection[str]) -> Written | None:
    """An unsure name as far as it is one: whole if it is known, else less the word that begins the sentence."""
    if one.key in sure:
        return one
    rest = without_first_word(one)
    if rest is None:
        return None
    # "Visited Paris" or "Ann Miller"? Known is what was written elsewhere; else two capitals are taken for a name,
    # unless the first word has the form of a verb.
    if rest.key in sure or one.name.partition(" ")[0].endswith(("ed", "ing", "ly")):
        return rest
    return one
