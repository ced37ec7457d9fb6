"""Beliefs of an export taken into a scope: those that it has go on there, with the versions and predictions of both.

A mental model is known by its id, or else by what it states: if what one of both states now is what the other states
or once stated about the same domain, they are the same belief. Two that were revised apart under two ids stay two.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, delete, insert, or_, select, update

from dionysus_mcp.beliefs import scoring
from dionysus_mcp.beliefs.models import alike
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.store.upserts import insert_new
from dionysus_mcp.upkeep.histories import Version, merged
from dionysus_mcp.upkeep.identity import own_ids
from dionysus_mcp.upkeep.lines import ModelLine, PredictionLine, RevisionLine

model, revision, prediction = schema.mental_model, schema.model_revision, schema.prediction
_TOLD = ("statement", "reason", "at", "accuracy", "resolved")
_OUTCOME = ("status", "outcome", "observation", "resolved_at", "brier", "log_score")


@dataclass(frozen=True, slots=True)
class Belief:
    """The lines of an export about one mental model.

    Attributes:
        model: None where the file has only what belongs to it.
    """

    id: str
    model: ModelLine | None
    revisions: Sequence[RevisionLine]
    predictions: Sequence[PredictionLine]

    @property
    def kinds(self) -> list[str]:
        """The kind of each line."""
        lines = (
            [*self.revisions, *self.predictions]
            if self.model is None
            else [self.model, *self.revisions, *self.predictions]
        )
        return [one.kind for one in lines]


class Beliefs:
    """Beliefs taken into a scope, within the caller's transaction.

    Args:
        connection: Of that transaction.
        scope: Where to.
        brought: Ids, as they are here, of all mental models of the export, and of those here that earlier ones of it
            were joined with: none of them is taken for another one of it.

    Attributes:
        joined: Ids of those here that were joined with one of another id. They belong to the transaction: if it is
            tried again, they are found again.
    """

    def __init__(self, connection: Connection, scope: Scope, brought: Collection[str]) -> None:
        self._connection = connection
        self._scope = scope
        self._brought = brought
        self.joined: set[str] = set()

    def take(self, told: Belief) -> Counter[str] | None:
        """Take in one belief; returns how many rows were made, by kind, or None if its model is nowhere."""
        own = own_ids(self._connection, self._scope, model, [told.id])[told.id]
        held = self._connection.execute(select(model).where(model.c.id == own, owned(model, self._scope))).first()
        same_id = held is not None
        if held is None and told.model is not None and (held := self._like(told, told.model)) is not None:
            self.joined.add(held.id)
        if held is not None:
            return self._merge(held, told, same_id=same_id)
        return None if told.model is None else self._new(told, told.model, own)

    def _like(self, told: Belief, line: ModelLine) -> Row[Any] | None:
        """The model here that states what this one does; of several, one that states it now, or else the oldest."""
        if line.status == "retired":
            return None
        said = {line.statement, *(one.statement for one in told.revisions)}
        once = select(revision.c.model_id).where(alike(revision.c.statement, {line.statement}))
        query = select(model).where(
            owned(model, self._scope),
            model.c.domain == line.domain,
            model.c.status != "retired",
            or_(alike(model.c.statement, said), model.c.id.in_(once)),
        )
        rows = self._connection.execute(query.order_by(model.c.created_at, model.c.id)).all()
        others = [row for row in rows if row.id not in self._brought and row.id not in self.joined]
        return min(others, key=lambda row: row.statement.lower() != line.statement.lower(), default=None)

    def _new(self, told: Belief, line: ModelLine, own: str) -> Counter[str]:
        values = line.model_dump(exclude={"kind"}) | scope_values(self._scope) | {"id": own}
        if not self._put(model, values):  # another scope took even the id that is made for this one
            return Counter()
        added = Counter(mental_model=1)
        for one in told.revisions:
            added["model_revision"] += self._put(revision, one.model_dump(exclude={"kind"}) | {"model_id": own})
        seen = self._predict(told, own, {}, line.version)
        return added + Counter(prediction=seen.made)

    def _merge(self, held: Row[Any], told: Belief, *, same_id: bool) -> Counter[str]:
        mine = revision.c.model_id == held.id
        rows = self._connection.execute(select(revision).where(mine).order_by(revision.c.version))
        here = [_version(row, here=row.version) for row in rows]
        there = [_version(one, there=one.version) for one in sorted(told.revisions, key=lambda one: one.version)]
        history = merged(here, there, same_id=same_id)
        self._renumber(held.id, history)
        versions = {one.there: number for number, one in enumerate(history, 1) if one.there}
        seen = self._predict(told, held.id, versions, len(history) or held.version)
        if history:  # an export may have lost them
            self._conclude(held, told.model, history, seen.versions)
            self._rewrite(held.id, here, self._left(held.id, history))
        return Counter(model_revision=sum(one.here is None for one in history), prediction=seen.made)

    def _renumber(self, model_id: str, history: Sequence[Version]) -> None:
        """Let predictions follow their versions; the last ones first, as numbers only grow."""
        for number, one in reversed([*enumerate(history, 1)]):
            if one.here is not None and one.here != number:
                its = and_(prediction.c.model_id == model_id, prediction.c.model_version == one.here)
                self._connection.execute(update(prediction).where(its).values(model_version=number))

    def _predict(self, told: Belief, model_id: str, versions: Mapping[int, int], last: int) -> "_Seen":
        """Store what was predicted there, each by itself, and what came of what is open here.

        Where the export lost what its version is, it belongs to that number, or else to the last that there is.
        """
        ids = own_ids(self._connection, self._scope, prediction, [one.id for one in told.predictions])
        made, touched = 0, set[int]()
        for one in told.predictions:
            values = one.model_dump(exclude={"kind"}) | {"id": ids[one.id], "model_id": model_id}
            values["model_version"] = versions.get(one.model_version, min(one.model_version, last))
            new = self._put(prediction, values)
            made += new
            if new or self._resolve(values):
                touched.add(values["model_version"])
        return _Seen(made, touched)

    def _resolve(self, values: Mapping[str, Any]) -> bool:
        """Take over an outcome that is unknown here; one that is known stays."""
        unknown = ("open",) if values["status"] == "expired" else ("open", "expired")
        if values["status"] == "open":
            return False
        mine = prediction.c.model_id.in_(select(model.c.id).where(owned(model, self._scope)))
        still = and_(prediction.c.id == values["id"], prediction.c.status.in_(unknown), mine)
        outcome = {name: values[name] for name in _OUTCOME}
        return self._connection.execute(update(prediction).where(still).values(outcome)).rowcount > 0

    def _conclude(
        self, held: Row[Any], line: ModelLine | None, history: Sequence[Version], touched: Collection[int]
    ) -> None:
        """What the model states now, and how that fares by the predictions of both."""
        last, number = history[-1], len(history)
        values: dict[str, Any] = {"statement": last.statement, "version": number}
        stays = last.here == held.version
        urgent = (stays and held.status == "needs_revision") or _urgent(line, last)
        if not stays or number in touched:
            values["alpha"], values["beta"] = self._reckoned(held.id, number)
            urgent = urgent or scoring.needs_revision(values["alpha"], values["beta"])
        values["status"] = "retired" if held.status == "retired" else "needs_revision" if urgent else "active"
        if line is not None:
            values["concepts"] = list(dict.fromkeys([*held.concepts, *line.concepts]))
            templates = [*held.prediction_templates, *line.prediction_templates]
            values["prediction_templates"] = list(dict.fromkeys(templates))
            values["created_at"] = min(held.created_at, line.created_at)
        if any(getattr(held, name) != value for name, value in values.items()):
            self._connection.execute(update(model).where(model.c.id == held.id).values(values))

    def _left(self, model_id: str, history: Sequence[Version]) -> list[Version]:
        """The history with how each version that is no longer current had fared, as far as nobody knew it."""
        found = [replace(history[-1], accuracy=None, resolved=0)]
        for number, one in reversed([*enumerate(history[:-1], 1)]):
            if one.accuracy is None:
                alpha, beta = self._reckoned(model_id, number)
                resolved = round(alpha + beta) - 2
                one = replace(one, accuracy=alpha / (alpha + beta) if resolved else None, resolved=resolved)
            found.append(one)
        return found[::-1]

    def _reckoned(self, model_id: str, version: int) -> tuple[float, float]:
        """The posterior of a version's being right, from its predictions."""
        its = and_(prediction.c.model_id == model_id, prediction.c.model_version == version)
        query = select(prediction.c.probability, prediction.c.outcome).where(its, prediction.c.status == "resolved")
        right = [scoring.was_right(row.probability, row.outcome) for row in self._connection.execute(query)]
        return 1.0 + sum(right), 1.0 + len(right) - sum(right)

    def _rewrite(self, model_id: str, here: Sequence[Version], history: Sequence[Version]) -> None:
        def rows(versions: Iterable[tuple[int | None, Version]]) -> list[dict[str, Any]]:
            return [
                {"model_id": model_id, "version": number} | {name: getattr(one, name) for name in _TOLD}
                for number, one in versions
            ]

        wanted = rows(enumerate(history, 1))
        if wanted != rows((one.here, one) for one in here):
            self._connection.execute(delete(revision).where(revision.c.model_id == model_id))
            self._connection.execute(insert(revision), wanted)

    def _put(self, table: Table, values: Mapping[str, Any]) -> int:
        return self._connection.execute(insert_new(self._connection, table).values(values)).rowcount


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many predictions were stored, and the versions of which one was, or got its outcome."""

    made: int
    versions: Collection[int]


def _version(told: Row[Any] | RevisionLine, *, here: int | None = None, there: int | None = None) -> Version:
    return Version(**{name: getattr(told, name) for name in _TOLD}, here=here, there=there)


def _urgent(line: ModelLine | None, last: Version) -> bool:
    return line is not None and line.status == "needs_revision" and last.there == line.version
