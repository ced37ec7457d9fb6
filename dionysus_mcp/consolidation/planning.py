"""What a consolidation would do, worked out from one state of the store. Changes nothing."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, select

from dionysus_mcp.consolidation import reading
from dionysus_mcp.consolidation.actions import Action, Dropped, Extract, Fade, Link, Plan, Quote, Retire, Supersede
from dionysus_mcp.consolidation.duplicates import Duplicate, duplicates
from dionysus_mcp.consolidation.extraction import Group, groups, units
from dionysus_mcp.consolidation.facts import differing
from dionysus_mcp.consolidation.near import pairs
from dionysus_mcp.consolidation.reading import Held
from dionysus_mcp.consolidation.retention import band
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.consolidation.shadows import lost_sources, sources_of
from dionysus_mcp.consolidation.strengths import Strength, strengths, unrecalled
from dionysus_mcp.consolidation.tables import action, link
from dionysus_mcp.consolidation.wording import sentences
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store

memory = schema.memory
_LINKS = 3
"""Links that one memory has at most: of a hundred like ones each need not know all others."""
_ORDER = ("supersede", "retire", "extract", "link", "fade")

Stage = Literal["reading", "comparing", "writing", "doing", "undoing"]
Report = Callable[[Stage, int, int], None]


def silent(_stage: Stage, _done: int, _total: int) -> None:
    """Report to nobody."""


class Writer(Protocol):
    """Writes what a group of sentences states in one of its own; a language model, as an option."""

    def write(self, group: Group) -> tuple[str | None, list[Dropped]]:
        """The statement, or None to take the group's own words; and what was refused on the way."""
        ...


@dataclass(frozen=True, slots=True)
class _Known:
    """What earlier runs and their users have decided.

    Attributes:
        undone: Digests of what was superseded, and brought back.
        parted: Digests of pairs that were linked, and parted again.
        linked: Numbers of pairs that are linked.
        drawn: Speaker and words of all extracts there ever were.
        extracts: Numbers of the current ones.
        kept: Digests of extracts whose end was undone.
        bands: Digest and band of what was said to fade, and undone.
    """

    undone: set[str]
    parted: set[tuple[str, str]]
    linked: set[tuple[int, int]]
    drawn: set[tuple[str | None, tuple[str, ...]]]
    extracts: set[int]
    kept: set[str]
    bands: set[tuple[str, str]]


class Planning:
    """Plans for one scope of a store.

    Args:
        store: Where the memories are.
        settings: What is near enough, and how much is done at once.
        writer: A language model that words semantic memories; None quotes.
        check: Called now and then; it may raise to end the work.
        report: Told the stage, how much of it is done, and how much there is.
    """

    def __init__(
        self,
        store: Store,
        settings: ConsolidationSettings,
        writer: Writer | None = None,
        check: Callable[[], None] = lambda: None,
        report: Report = silent,
    ) -> None:
        self._store = store
        self._settings = settings
        self._writer = writer
        self._check = check
        self._report = report

    def plan(self, now: datetime, limit: int | None = None) -> Plan:
        """What would be done at a moment; at most `limit` actions."""
        scope = self._store.scope
        with self._store.read() as connection:
            seen = reading.seen(connection)
            held = self._read(connection)
            known = _known(connection, self._store, held)
            felt = strengths(connection, scope)
            vectors = reading.vectors(connection, [one.seq for one in held])
            placed = reading.passages(connection, [one.seq for one in held])
            retired = _retired(connection, [one for one in held if one.seq in known.extracts], known)
        # What takes long comes after the transaction: SQLite's log grows as long as anybody reads an old state.
        self._report("comparing", 0, len(held))
        ended = duplicates(held, known.undone)
        gone = {one.ended.seq for one in ended}
        rest = [one for one in held if one.seq not in gone]
        own = [one for one in rest if one.seq not in known.extracts]
        found: list[Action] = [_supersede(one, vectors) for one in _faintest_first(ended, felt, now)]
        staying = {one.id for one in rest}
        found += [one for one in retired if one.memory_id in staying]
        found += self._links(own, vectors, known)
        self._report("comparing", len(own) // 2, len(own))
        drawn = self._groups(own, placed, vectors, known)
        found += _fading(rest, felt, known, now)
        found.sort(key=lambda one: _ORDER.index(one.kind))
        return self._plan(scope, held, found, drawn, seen, limit or self._settings.limit)

    def _plan(
        self, scope: Any, held: list[Held], found: list[Action], drawn: list[Group], seen: int, limit: int
    ) -> Plan:
        dropped: list[Dropped] = []
        first = [one for one in found if one.kind in _ORDER[:2]]
        # A model is asked only for what this run would store.
        asked = drawn[: max(0, limit - len(first))]
        extracts: list[Action] = []
        for number, group in enumerate(asked):
            self._check()
            if self._writer is not None:
                self._report("writing", number, len(asked))
            extracts.append(self._extract(group, dropped))
        actions = [*first, *extracts, *found[len(first) :]]
        return Plan(
            scope=str(scope),
            examined=len(held),
            actions=actions[:limit],
            left_out=max(0, len(actions) - limit) + len(drawn) - len(asked),
            dropped=dropped,
            seen=seen,
        )

    def _read(self, connection: Connection) -> list[Held]:
        held: list[Held] = []
        for one in reading.held(connection, self._store.scope):
            held.append(one)
            if len(held) % 1000 == 0:
                self._check()
                self._report("reading", len(held), 0)
        return held

    def _links(self, held: Sequence[Held], vectors: Mapping[int, Any], known: _Known) -> Iterable[Action]:
        import numpy as np

        mine = [one for one in held if one.seq in vectors]
        if len(mine) < 2:
            return []
        matrix = np.stack([vectors[one.seq] for one in mine])
        near = sorted(pairs(matrix, self._settings.similar, self._check), key=lambda pair: -pair[2])
        counts = Counter(seq for pair in known.linked for seq in pair)
        found: list[Action] = []
        for first, second, cosine in near:
            one, other = mine[second], mine[first]  # the later one is linked to the earlier
            parted = (one.hash, other.hash) in known.parted or (one.seq, other.seq) in known.linked
            if parted or max(counts[one.seq], counts[other.seq]) >= _LINKS:
                continue
            counts.update((one.seq, other.seq))
            found.append(_link(one, other, cosine))
        return found

    def _groups(self, held: Sequence[Held], placed: Any, vectors: Any, known: _Known) -> list[Group]:
        episodes = [one for one in held if one.memory_type == "episodic"]
        of, matrix = units(episodes, placed, vectors)
        chosen = self._settings
        return groups(
            of, matrix, related=chosen.related, episodes=chosen.episodes, known=known.drawn, check=self._check
        )

    def _extract(self, group: Group, dropped: list[Dropped]) -> Extract:
        written: str | None = None
        if self._writer is not None:
            written, refused = self._writer.write(group)
            dropped += refused
        sources = [
            Quote(
                memory_id=one.held.id, text=one.text, start=one.start, stop=one.stop, occurred_at=one.held.occurred_at
            )
            for one in group.members
        ]
        return Extract(
            content=written or group.head.text,
            speaker=group.head.held.speaker,
            sources=sources,
            method="quote" if written is None else "model",
        )


def _known(connection: Connection, store: Store, held: Iterable[Held]) -> _Known:
    mine = reading.own(store.scope)
    undone = (
        select(action.c.kind, action.c.hash, action.c.other_hash, action.c.after)
        .join_from(action, memory, memory.c.seq == action.c.memory_seq)
        .where(mine, action.c.undone_at.is_not(None))
    )
    rows = connection.execute(undone).all()
    extracts = select(memory.c.seq, memory.c.speaker, memory.c.content).where(
        mine, memory.c.seq.in_(select(link.c.from_seq).where(link.c.kind == "extract"))
    )
    drawn = connection.execute(extracts).all()
    similar = select(link.c.from_seq, link.c.to_seq).where(link.c.kind == "similar")
    current = {one.seq for one in held}
    return _Known(
        undone={row.hash for row in rows if row.kind == "supersede"},
        parted={(row.hash, row.other_hash) for row in rows if row.kind == "link"},
        linked={(row.from_seq, row.to_seq) for row in connection.execute(similar)},
        drawn={(row.speaker, sentence.words) for row in drawn for sentence in sentences(row.content)},
        extracts={row.seq for row in drawn} & current,
        kept={row.hash for row in rows if row.kind == "retire"},
        bands={(row.hash, row.after) for row in rows if row.kind == "fade"},
    )


def _faintest_first(found: Iterable[Duplicate], felt: Mapping[int, Strength], now: datetime) -> list[Duplicate]:
    """What is least in mind is dealt with first, where not all can be."""

    def retained(one: Duplicate) -> float:
        known = felt.get(one.ended.seq) or unrecalled(one.ended.importance)
        return known.retention(one.ended.recorded_from, now)

    return sorted(found, key=lambda one: (retained(one), one.ended.seq))


def _supersede(one: Duplicate, vectors: Mapping[int, Any]) -> Supersede:
    mine, its = vectors.get(one.ended.seq), vectors.get(one.survivor.seq)
    return Supersede(
        memory_id=one.ended.id,
        content=one.ended.content,
        survivor_id=one.survivor.id,
        survivor=one.survivor.content,
        similarity=None if mine is None or its is None else round(float(mine.astype(float) @ its.astype(float)), 4),
        differing=differing(one.ended.content, one.survivor.content),
    )


def _link(one: Held, other: Held, cosine: float) -> Link:
    return Link(
        memory_id=one.id,
        content=one.content,
        other_id=other.id,
        other=other.content,
        similarity=round(cosine, 4),
        differing=differing(one.content, other.content),
    )


def _retired(connection: Connection, extracts: Collection[Held], known: _Known) -> list[Retire]:
    sources = sources_of(connection, [one.seq for one in extracts])
    lost = lost_sources(connection, {seq for of in sources.values() for seq in of})
    gone = {one.seq: sorted(sources.get(one.seq, set()) & lost) for one in extracts if one.hash not in known.kept}
    names = _ids(connection, [seq for seqs in gone.values() for seq in seqs])
    return [
        Retire(memory_id=one.id, content=one.content, lost=[names[seq] for seq in gone[one.seq]])
        for one in extracts
        if gone.get(one.seq)
    ]


def _ids(connection: Connection, seqs: Sequence[int]) -> dict[int, str]:
    query = select(memory.c.seq, memory.c.id).where(memory.c.seq.in_(seqs))
    return {row.seq: row.id for row in connection.execute(query)} if seqs else {}


def _fading(held: Iterable[Held], felt: Mapping[int, Strength], known: _Known, now: datetime) -> list[Fade]:
    found: list[Fade] = []
    for one in held:
        mine = felt.get(one.seq) or unrecalled(one.importance)
        value = mine.retention(one.recorded_from, now)
        after = band(value)
        if after != mine.band and (one.hash, after) not in known.bands:
            found.append(
                Fade(memory_id=one.id, content=one.content, retention=round(value, 4), before=mine.band, after=after)
            )
    return sorted(found, key=lambda each: each.retention or 0.0)
