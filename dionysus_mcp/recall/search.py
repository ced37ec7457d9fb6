"""The whole of a recall: words and meaning, fused, cut to what was asked, with what the hits do not cover."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Row, bindparam, func, select

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.paging import metadata_beginning
from dionysus_mcp.recall import keywords, passages, terms, unspaced, weights, within
from dionysus_mcp.recall.admitted import Filter, conditions
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.candidates import CANDIDATES, candidates
from dionysus_mcp.recall.features import features
from dionysus_mcp.recall.frequencies import Frequencies, weigh
from dionysus_mcp.recall.fusion import fuse
from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.moments import moments
from dionysus_mcp.recall.persons import Persons, persons
from dionysus_mcp.recall.pieces import closest, read, spoken
from dionysus_mcp.recall.postgres_index import PostgresIndex, index_of
from dionysus_mcp.recall.views import number_of
from dionysus_mcp.records import Hit, Recall
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import believed, cited, picked_in_scope, trust_of
from dionysus_mcp.store.vectors import Vectors

if TYPE_CHECKING:
    from dionysus_mcp.embedding import MiniLm
    from dionysus_mcp.recall.embedder import BackgroundEmbedder
    from dionysus_mcp.recall.rerank import Reranker
    from dionysus_mcp.store.access import Store
    from dionysus_mcp.store.vectors import PassageVectors

MAX_QUERY = 10_000
CHARACTERS_PER_TOKEN = 4
_TOKENS_AROUND_A_HIT = 40
"""Roughly what id, source and times of one hit take."""
_NAMED = 60
"""Characters of them that are names and sources."""

memory = schema.memory
Hide = Callable[[Connection, Mapping[int, Row[Any]], datetime | None], set[int]]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of memory; see `MemoryClient.recall` for the meaning of each."""

    text: str
    top_k: int
    token_budget: int
    threshold: float | None = None
    admitted: Filter = field(default_factory=Filter)
    as_of: datetime | None = None
    offset: int = 0


class Search:
    """Recall over one scope of a store. Thread-safe.

    Args:
        store: What is searched.
        embedder: Gives the model and the index, once they are there.
        hide: Names those of the hits that only repeat another one, by their numbers.
        fitted: Weights as `weights.load` returns them; None for those that come with the package.
        reranker: Puts the best hits in order; None for none.
    """

    def __init__(
        self,
        store: Store,
        embedder: BackgroundEmbedder,
        hide: Hide | None = None,
        fitted: dict[str, dict[str, float]] | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self._reranker = reranker
        self._hide = hide
        self._store = store
        self._embedder = embedder
        self._stemmer = terms.Stemmer()
        # What was believed at the moment that was asked for last; whoever looks back mostly asks more than once.
        self._past: tuple[datetime, MemoryIndex | PostgresIndex] | None = None
        self._frequencies = Frequencies()
        # Built once: that takes longer than reading some rows.
        self._chosen = select(*(memory.c[name] for name in _SHOWN)).where(
            picked_in_scope(store.scope), memory.c.seq.in_(_SEQS)
        )
        self._current = self._chosen.where(believed(None))
        self._company = within.Company(store.scope)
        self._weights = fitted or weights.load()

    def recall(self, query: Query) -> Recall:
        """Find memories.

        Raises:
            MemoryStoreError: if the query is empty or far too long.
        """
        if not query.text.strip() or len(query.text) > MAX_QUERY:
            raise MemoryStoreError(
                f"A query has 1 to {MAX_QUERY:,} characters that are not all blank; this one has {len(query.text):,}."
            )
        if query.as_of is not None and query.as_of >= datetime.now(UTC):
            query = replace(query, as_of=None)
        model = self._embedder.model
        whole = self._index(query.as_of)
        with self._store.read() as connection:
            index = None if whole is None else whole.within(connection)
            last = connection.execute(_LAST).scalar() or 0
            total = within.indexed(connection, last)
            weighed = weigh(connection, self._stemmer, self._frequencies, terms.words(query.text), total)
            counted = None
            if self._company.is_there(connection, last):
                counted = within.count(connection, self._store.scope, self._stemmer, weighed)
                weighed, total = counted.weigh(weighed), counted.total
            admitted = conditions(self._store.scope, query.admitted, query.as_of)
            pairs = unspaced.find(connection, weighed, admitted, last)
            weighed = pairs.weigh(weighed)
            wanted = _with_content(weighed, query.text)
            by_words = self._by_words(connection, query, wanted, total, counted, pairs)
            if model is None or index is None:
                scores, near = fuse(by_words, None), None
            else:
                seqs, found, near = self._described(connection, model, index, query, wanted, by_words, total)
                scores = self._scored(index, seqs, found, by_words)
            ranked = self._ranked(connection, query, scores, near)
            mode = "keyword" if model is None else "hybrid"
            notice = self._embedder.notice() or self._embedder.backlog(connection, last)
            told = _Told(query, weighed, total, mode, [notice], pairs)
            if self._reranker is None:
                return told.answer(connection, ranked)
        # A model may take seconds: meanwhile no transaction is open.
        best, rest = ranked[: self._reranker.top], ranked[self._reranker.top :]
        reranked = self._reranker.order(query.text, [hit.content for _, hit in best])
        told.notices.append(reranked.notice)
        with self._store.read() as connection:
            return told.answer(connection, [*(best[place] for place in reranked.order), *rest])

    def close(self) -> None:
        """Free what isn't the store's."""
        self._stemmer.close()
        if self._reranker is not None:
            self._reranker.close()

    def _index(self, as_of: datetime | None) -> MemoryIndex | PostgresIndex | None:
        model, index, past = self._embedder.model, self._embedder.index, self._past
        if as_of is not None and model is not None:
            if past is None or past[0] != as_of:
                rows = Vectors(self._store, model.model_id, model.dimension, as_of)
                past = self._past = as_of, index_of(rows)
            index = past[1]
        if index is not None:
            index.catch_up()
        return index

    def _by_words(
        self,
        connection: Connection,
        query: Query,
        wanted: Sequence[terms.Term],
        total: int,
        counted: within.Counted | None,
        pairs: unspaced.Found,
    ) -> dict[int, float]:
        searched = terms.worth_matching(pairs.left_to_index(wanted), total)
        admitted, as_of = query.admitted, query.as_of
        if counted is not None:
            found = within.matches(connection, counted, searched, admitted, CANDIDATES, as_of)
        else:
            found = keywords.matches(connection, self._store.scope, searched, admitted, CANDIDATES, as_of)
        if not pairs.lengths:
            return found
        both = pairs.scores(wanted, total)
        both |= {seq: both.get(seq, 0.0) + score for seq, score in found.items()}
        return dict(sorted(both.items(), key=lambda item: (item[1], item[0]), reverse=True)[:CANDIDATES])

    def _described(
        self,
        connection: Connection,
        model: MiniLm,
        index: MemoryIndex,
        query: Query,
        wanted: Sequence[terms.Term],
        by_words: dict[int, float],
        total: int,
    ) -> tuple[list[int], dict[str, Any], _Near]:
        """The candidates' numbers, their features, and what the hits show of their vectors."""
        import numpy as np

        with index.lock:
            # A few messages among documents make no conversation: then a name is a word like others.
            said = persons(query.text, index.names if index.is_told else {})
            vectors, words = model.embed_with_pieces(said.texts)
            both = np.stack([vectors[said.texts.index(one)] for one in (said.as_i, said.as_you)])
            asked = _asked(said, both, wanted, total, self._stemmer)
            chosen = candidates(index, asked, query.admitted, list(by_words))
            places = chosen.places
            seqs = index.column("seqs", places)
            pieces = index.vectors.passages(connection, seqs.tolist())
            place_of = dict(zip(seqs.tolist(), places.tolist(), strict=True))
            best = {place_of[seq]: (one.vectors @ both.T).max(axis=0) for seq, one in pieces.items()}
            close = None
            if index.is_told:
                held = read(connection, model.model_id, seqs.tolist())
                close = closest(spoken(words[0]), [held.get(seq) for seq in seqs.tolist()])
            found = features(index, asked, places, best, close, chosen.glimpse) if len(places) else {}
            shown = index.matrix.cosines(places, both[:1])[:, 0]
        near = _Near(both[0], dict(zip(seqs.tolist(), map(float, shown), strict=True)), pieces)
        return seqs.tolist(), found, near

    def _scored(
        self, index: MemoryIndex, seqs: list[int], found: dict[str, Any], by_words: dict[int, float]
    ) -> dict[int, float]:
        kind = "told" if index.is_told else "written"
        if seqs and index.is_told and not found["pieces"].any():
            kind = "told_without_pieces"
        scores = dict(zip(seqs, map(float, weights.score(found, self._weights[kind])), strict=True)) if seqs else {}
        places = index.places(list(by_words)).tolist()
        late = {seq for seq, place in zip(by_words, places, strict=True) if place == NOBODY}
        if not late:
            return scores
        # What has no vector yet is known by its words alone: by how far these stand out among all candidates. Among
        # those that match any, the only one that does would be average, and come after all that is merely near.
        standing = fuse(dict.fromkeys(scores, 0.0) | by_words, None)
        return scores | {seq: standing[seq] for seq in late}

    def _ranked(
        self, connection: Connection, query: Query, scores: dict[int, float], near: _Near | None
    ) -> list[tuple[int, Hit]]:
        """The best hits, by the memory's number: one more than are asked for, or than a model is to order."""
        most = query.offset + query.top_k
        most = most if self._reranker is None else max(most, self._reranker.top)
        wanted = [seq for seq, score in scores.items() if query.threshold is None or score >= query.threshold]
        # Of equals, the newer one: it has the higher number.
        wanted.sort(key=lambda seq: (scores[seq], seq), reverse=True)
        chosen = self._current if query.as_of is None else self._chosen.where(believed(query.as_of))
        rows = {row.seq: row for row in connection.execute(chosen, {"seqs": wanted[: most + _SPARE]}).all()}
        if self._hide is not None:
            hidden = self._hide(connection, rows, query.as_of)
            rows = {seq: row for seq, row in rows.items() if seq not in hidden}
        ranked = [seq for seq in wanted if seq in rows][: most + 1]
        return [(seq, _hit(rows[seq], scores[seq], near)) for seq in ranked]


@dataclass(frozen=True, slots=True)
class _Told:
    """What an answer is made of beside its hits."""

    query: Query
    weighed: Sequence[terms.Term]
    total: int
    mode: Literal["hybrid", "keyword"]
    notices: list[str | None]
    pairs: unspaced.Found

    def answer(self, connection: Connection, ranked: list[tuple[int, Hit]]) -> Recall:
        """The hits that were asked for and fit, and what they lack."""
        query = self.query
        end = query.offset + query.top_k
        hits, left_out = _within_budget(ranked[query.offset : end], query.token_budget)
        following = query.offset + len(hits)
        missing = self._missing(connection, {seq: hit.content for seq, hit in hits})
        return Recall(
            hits=[hit for _, hit in hits],
            missing_terms=missing,
            mode=self.mode,
            notice=" ".join(filter(None, (*self.notices, left_out))) or None,
            next_cursor=str(following) if following < len(ranked) else None,
        )

    def _missing(self, connection: Connection, shown: Mapping[int, str]) -> list[str]:
        content, whole = set(terms.content_words(self.query.text)), terms.whole(self.query.text)
        rare = [term for term in self.weighed if term.word in content and terms.is_rare(term, self.total)]
        # Two characters out of a longer run may belong to two words.
        pairs = [term for term in rare if terms.is_unspaced(term.word) and term.word in whole]
        others = [term for term in rare if not terms.is_unspaced(term.word)]
        gone = {*keywords.uncovered(connection, others, list(shown)), *self.pairs.uncovered(pairs, shown)}
        return [term.word for term in rare if term in gone]


@dataclass(frozen=True, slots=True)
class _Near:
    """A query's vector, the cosines of candidates, and the passages of those that have several."""

    query: Any
    cosines: dict[int, float]
    passages: dict[int, PassageVectors]


_WHEN = re.compile(r"\b(when|date|day|month|year|how long|since)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"\bhow (many|much|often)\b", re.IGNORECASE)
_SPARE = 12
"""More rows than asked for are read, as another process may close some between two reads."""
_SHOWN = (
    *("seq", "id", "content", "memory_type", "metadata", "speaker", "session_id", "source", "source_position"),
    *("origin", "occurred_at", "recorded_from", "recorded_to"),
)
"""Columns that hits are made of; the others would be read in vain."""
_SEQS = bindparam("seqs", expanding=True)
_LAST = select(func.max(memory.c.seq))


def _with_content(weighed: Sequence[terms.Term], query: str) -> list[terms.Term]:
    """Terms with content; a query of nothing but function words is taken as it is."""
    content = set(terms.content_words(query))
    return [term for term in weighed if term.word in content] or list(weighed)


def _asked(said: Persons, both: Any, wanted: Sequence[terms.Term], total: int, stemmer: terms.Stemmer) -> Asked:
    names = {word.casefold() for word in terms.words(said.asked)} - {w.casefold() for w in terms.words(said.nameless)}
    kept = [term for term in wanted if term.word.casefold() not in names]
    stems = stemmer.stems([form for term in kept for form in term.forms])
    weighed = [
        (
            [number_of(stems[form]) for form in term.forms if form in stems],
            math.log(1 + (max(0, total - term.frequency) + 0.5) / (term.frequency + 0.5)),
        )
        for term in kept
    ]
    times, numbers = (pattern.search(said.asked) is not None for pattern in (_WHEN, _HOW_MANY))
    return Asked(both, weighed, said.speakers, moments(said.asked), times, numbers)


def _hit(row: Row[Any], score: float, near: _Near | None) -> Hit:
    similarity = near.cosines.get(row.seq) if near else None
    pieces = near.passages.get(row.seq) if near else None
    return Hit(
        id=row.id,
        content=row.content,
        score=round(score, 4),
        similarity=None if similarity is None else round(similarity, 4),
        passages=passages.best(near.query, row.content, pieces) if near and pieces else [],
        memory_type=row.memory_type,
        metadata=row.metadata,
        speaker=row.speaker,
        session_id=row.session_id,
        source=cited(row.source, row.source_position),
        trust=trust_of(row),
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_from,
        superseded_at=row.recorded_to,
    )


def _tokens(hit: Hit) -> int:
    passages = sum(len(one.text) for one in hit.passages)
    metadata = len(json.dumps(hit.metadata)) if hit.metadata else len(hit.metadata_part or "")
    # Names and sources are mostly short, which is in what stands around a hit.
    names = (hit.memory_type, hit.speaker, hit.session_id, hit.source)
    named = sum(len(name or "") for name in names) - _NAMED
    return (len(hit.content) + passages + metadata + max(0, named)) // CHARACTERS_PER_TOKEN + _TOKENS_AROUND_A_HIT


def _within_budget(ranked: list[tuple[int, Hit]], budget: int) -> tuple[list[tuple[int, Hit]], str | None]:
    """The first hits that fit, whole; the very first is cut where even it does not fit."""
    kept: list[tuple[int, Hit]] = []
    left = budget
    ranked = [(seq, _short_metadata(hit, budget)) for seq, hit in ranked]
    for seq, hit in ranked:
        left -= _tokens(hit)
        if left < 0:
            break
        kept.append((seq, hit))
    if ranked and not kept:
        seq, first = ranked[0]
        short = {"content": first.content[: budget * CHARACTERS_PER_TOKEN], "passages": []}
        first = _short_metadata(first, 0)
        notice = f"Only the beginning of the best hit fits the budget of {budget} tokens; get_memories gives it whole."
        return [(seq, first.model_copy(update=short))], notice
    omitted = len(ranked) - len(kept)
    told = [f"{omitted} more hits did not fit the budget of {budget} tokens; next_cursor leads to them."] * bool(
        omitted
    )
    if any(hit.metadata_part is not None for _, hit in kept):
        told.append("Of metadata too long for the answer only the beginning is shown; get_memories gives them whole.")
    return kept, " ".join(told) or None


def _short_metadata(hit: Hit, budget: int) -> Hit:
    if hit.metadata_part is not None or not hit.metadata:
        return hit
    part = metadata_beginning(hit.metadata, budget)
    return hit if part is None else hit.model_copy(update={"metadata": {}, "metadata_part": part})
