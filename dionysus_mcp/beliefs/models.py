"""Mental models: statements about the user, the self, the world or the task that are held, judged and revised."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, ColumnElement, Connection, Row, and_, case, func, insert, or_, select, update

from dionysus_mcp.errors import MemoryStoreError, named
from dionysus_mcp.records import Domain, MentalModel, Revision
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import owned, refuse_shared, scope_values, visible
from dionysus_mcp.texts import text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

model, revision, prediction = schema.mental_model, schema.model_revision, schema.prediction


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model to be held."""

    domain: Domain
    statement: str
    concepts: tuple[str, ...] = ()
    prediction_templates: tuple[str, ...] = ()


class MentalModels:
    """The mental models of one scope of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, new: NewModel) -> MentalModel:
        """Hold a model; the same statement about the same domain again gives the model that is held.

        Raises:
            MemoryStoreError: if the statement is empty or too long.
        """
        statement = text_of("statement", new.statement)

        def work(connection: Connection) -> MentalModel:
            held = select(model.c.id).where(
                owned(model, self._store.scope),
                model.c.domain == new.domain,
                model.c.status != "retired",
                alike(model.c.statement, {statement}),
            )
            key = connection.execute(held).scalar()
            return load(connection, self._store.scope, key or self._insert(connection, new, statement))

        return self._store.write(work)

    def revise(self, model_id: str, statement: str, reason: str) -> MentalModel:
        """Give a model a new statement as its next version, judged afresh; the old one stays with how it had fared.

        The statement that it has already changes nothing.

        Raises:
            MemoryStoreError: if the model is unknown or shared, or a text is empty or too long.
        """
        statement, reason = text_of("statement", statement), text_of("reason", reason)

        def work(connection: Connection) -> MentalModel:
            current = changeable(connection, self._store.scope, model_id)
            if current.statement != statement:
                _next_version(connection, current, statement, reason)
            return load(connection, self._store.scope, model_id)

        return self._store.write(work)

    def get(self, model_id: str) -> MentalModel:
        """One model.

        Raises:
            MemoryStoreError: if it is unknown.
        """
        with self._store.read() as connection:
            return load(connection, self._store.scope, model_id)

    def held(self, count: int) -> list[MentalModel]:
        """Models that aren't retired: those that need revision first, then the newest."""
        urgent = case((model.c.status == "needs_revision", 0), else_=1)
        query = (
            select(model.c.id)
            .where(of_scope(self._store.scope), model.c.status != "retired")
            .order_by(urgent, model.c.created_at.desc())
            .limit(count)
        )
        with self._store.read() as connection:
            keys: Sequence[str] = connection.execute(query).scalars().all()
            return [load(connection, self._store.scope, key) for key in keys]

    def _insert(self, connection: Connection, new: NewModel, statement: str) -> str:
        key, now = f"b-{secrets.token_hex(8)}", datetime.now(UTC)
        row: dict[str, Any] = {
            "id": key,
            **scope_values(self._store.scope),
            "domain": new.domain,
            "statement": statement,
            "concepts": list(new.concepts),
            "prediction_templates": list(new.prediction_templates),
            "status": "active",
            "version": 1,
            "alpha": 1.0,
            "beta": 1.0,
            "created_at": now,
        }
        connection.execute(insert(model), row)
        first = {
            "model_id": key,
            "version": 1,
            "statement": statement,
            "reason": "first held",
            "at": now,
            "resolved": 0,
        }
        connection.execute(insert(revision), first)
        return key


def alike(column: Column[str], texts: "Collection[str]") -> ColumnElement[bool]:
    """The predicate for one of these texts, but for capitals, of which SQLite knows those of ASCII alone."""
    return or_(column.in_(sorted(texts)), func.lower(column).in_(sorted({text.lower() for text in texts})))


def of_scope(scope: Scope) -> ColumnElement[bool]:
    """The predicate for models that a scope may read; see `scoping` for what it may write."""
    return visible(model, scope)


def changeable(connection: Connection, scope: Scope, model_id: str) -> MentalModel:
    """A model that the scope may change, as `load` gives it.

    Raises:
        MemoryStoreError: if it is unknown in this scope, or shared and the scope a user's.
    """
    held = load(connection, scope, model_id)
    owner = connection.execute(select(model.c.owner).where(model.c.id == model_id)).scalar_one()
    refuse_shared(owner, scope, repr(model_id))
    return held


def load(connection: Connection, scope: Scope, model_id: str) -> MentalModel:
    """A model with its history and how it fares.

    Raises:
        MemoryStoreError: if it is unknown in this scope.
    """
    row = connection.execute(select(model).where(of_scope(scope), model.c.id == model_id)).first()
    if row is None:
        raise MemoryStoreError(
            f"Unknown mental model {named(model_id)}; get_consciousness_state lists those that are held."
        )
    history = connection.execute(
        select(revision).where(revision.c.model_id == model_id).order_by(revision.c.version)
    ).all()
    open_, resolved, brier = _record_of(connection, row)
    return MentalModel(
        id=row.id,
        domain=row.domain,
        statement=row.statement,
        concepts=row.concepts,
        prediction_templates=row.prediction_templates,
        status=row.status,
        version=row.version,
        created_at=row.created_at,
        alpha=row.alpha,
        beta=row.beta,
        accuracy=row.alpha / (row.alpha + row.beta) if resolved else None,
        brier=brier,
        open_predictions=open_,
        resolved_predictions=resolved,
        history=[_revision(one) for one in history],
    )


def _record_of(connection: Connection, row: Row[Any]) -> tuple[int, int, float | None]:
    """Open predictions, and of the current version the resolved ones and their mean Brier score."""
    now = datetime.now(UTC)
    alive = and_(prediction.c.status == "open", (prediction.c.expires_at.is_(None)) | (prediction.c.expires_at > now))
    mine = and_(prediction.c.status == "resolved", prediction.c.model_version == row.version)
    query = select(
        func.count(case((alive, 1))), func.count(case((mine, 1))), func.avg(case((mine, prediction.c.brier)))
    ).where(prediction.c.model_id == row.id)
    open_, resolved, brier = connection.execute(query).one()
    return open_, resolved, brier


def _next_version(connection: Connection, current: MentalModel, statement: str, reason: str) -> None:
    now = datetime.now(UTC)
    left = and_(revision.c.model_id == current.id, revision.c.version == current.version)
    fared = {"accuracy": current.accuracy, "resolved": current.resolved_predictions}
    connection.execute(update(revision).where(left).values(**fared))
    following = {"model_id": current.id, "version": current.version + 1, "at": now, "resolved": 0}
    connection.execute(insert(revision), {**following, "statement": statement, "reason": reason})
    # A new statement starts from a uniform prior: what was said before isn't its merit or fault.
    fresh = {"statement": statement, "version": current.version + 1, "status": "active", "alpha": 1.0, "beta": 1.0}
    connection.execute(update(model).where(model.c.id == current.id).values(**fresh))


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        version=row.version,
        statement=row.statement,
        reason=row.reason,
        at=row.at,
        accuracy=row.accuracy,
        resolved=row.resolved,
    )
