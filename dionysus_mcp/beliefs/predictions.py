"""Predictions: made from a model with a probability, resolved by an observation, scored, or expired unscored."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from dionysus_mcp.beliefs import scoring
from dionysus_mcp.beliefs.models import changeable, of_scope
from dionysus_mcp.beliefs.rules import checked_rule, outcome_of
from dionysus_mcp.errors import MemoryStoreError, named
from dionysus_mcp.records import MentalModel, Prediction
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.texts import text_of

model, prediction = schema.mental_model, schema.prediction


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A prediction to be made; see `records.Prediction`."""

    model_id: str
    statement: str
    probability: float
    context: str | None = None
    rule: str | None = None
    expires_at: datetime | None = None


class Predictions:
    """The predictions of one scope of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def make(self, new: NewPrediction) -> Prediction:
        """Make a prediction; the same one, while it is open, gives the one that is there.

        Raises:
            MemoryStoreError: if the model is unknown or shared, the probability not within 0 and 1, the expiry past,
                the rule none that can be judged, or a text empty or too long.
        """
        values = _checked(new)

        def work(connection: Connection) -> Prediction:
            held = changeable(connection, self._store.scope, new.model_id)
            same = select(prediction).where(
                prediction.c.status == "open",
                *(prediction.c[name].is_not_distinct_from(value) for name, value in values.items()),
            )
            row = connection.execute(same).first()
            return _record(row) if row is not None else _record(_insert(connection, held, values))

        self.expire()
        return self._store.write(work)

    def resolve(self, prediction_id: str, observation: bool | str | Mapping[str, Any]) -> Prediction:
        """Score a prediction by what was observed, and its model with it.

        Resolving it again with the same outcome changes nothing.

        Raises:
            MemoryStoreError: if it is unknown, expired, was resolved otherwise, or the observation doesn't tell.
        """
        self.expire()

        def work(connection: Connection) -> Prediction:
            row = self._row(connection, prediction_id)
            outcome = outcome_of(observation, row.rule)
            if row.status == "open":
                held = changeable(connection, self._store.scope, row.model_id)
                _score(connection, row, outcome, observation)
                _judge(connection, held, row, outcome)
            else:
                _check_same(row, outcome)
            return _record(self._row(connection, prediction_id))

        return self._store.write(work)

    def open(self, count: int) -> list[Prediction]:
        """Open predictions, the next to expire first, then the oldest."""
        query = (
            select(prediction)
            .join(model)
            .where(
                of_scope(self._store.scope),
                prediction.c.status == "open",
                or_(prediction.c.expires_at.is_(None), ~_over()),
            )
            .order_by(prediction.c.expires_at.is_(None), prediction.c.expires_at, prediction.c.created_at)
            .limit(count)
        )
        with self._store.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def expire(self) -> None:
        """Mark open predictions whose time is over; they are never scored, for nobody saw how they came out."""
        mine = prediction.c.model_id.in_(select(model.c.id).where(owned(model, self._store.scope)))

        def work(connection: Connection) -> None:
            connection.execute(
                update(prediction).where(mine, prediction.c.status == "open", _over()).values(status="expired")
            )

        self._store.write(work)

    def _row(self, connection: Connection, prediction_id: str) -> Row[Any]:
        query = select(prediction).join(model).where(of_scope(self._store.scope), prediction.c.id == prediction_id)
        row = connection.execute(query).first()
        if row is None:
            raise MemoryStoreError(
                f"Unknown prediction {named(prediction_id)}; get_consciousness_state lists the open ones."
            )
        return row


def _over() -> Any:
    return prediction.c.expires_at <= datetime.now(UTC)


def _checked(new: NewPrediction) -> dict[str, Any]:
    if not 0.0 <= new.probability <= 1.0:
        raise MemoryStoreError(f"The probability is {new.probability}; it must lie between 0 and 1.")
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise MemoryStoreError(f"The prediction would have expired already, at {new.expires_at.isoformat()}.")
    return {
        "model_id": new.model_id,
        "statement": text_of("statement", new.statement),
        "probability": new.probability,
        "context": None if new.context is None else text_of("context", new.context),
        "rule": checked_rule(new.rule),
        "expires_at": new.expires_at,
    }


def _insert(connection: Connection, held: MentalModel, values: Mapping[str, Any]) -> Row[Any]:
    row = {
        **values,
        "id": f"p-{secrets.token_hex(8)}",
        "model_version": held.version,
        "created_at": datetime.now(UTC),
        "status": "open",
    }
    connection.execute(insert(prediction), row)
    return connection.execute(select(prediction).where(prediction.c.id == row["id"])).one()


def _score(connection: Connection, row: Row[Any], outcome: bool, observation: bool | str | Mapping[str, Any]) -> None:
    seen = observation if isinstance(observation, str) else json.dumps(observation, default=str)
    values = {
        "status": "resolved",
        "outcome": outcome,
        "observation": text_of("observation", seen),
        "resolved_at": datetime.now(UTC),
        "brier": scoring.brier_score(row.probability, outcome),
        "log_score": scoring.log_score(row.probability, outcome),
    }
    connection.execute(update(prediction).where(prediction.c.id == row.id).values(**values))


def _judge(connection: Connection, held: MentalModel, row: Row[Any], outcome: bool) -> None:
    """Count the outcome for the model, unless it was predicted from a version that it has left since."""
    if row.model_version != held.version:
        return
    right = scoring.was_right(row.probability, outcome)
    alpha, beta = held.alpha + right, held.beta + (not right)
    status = held.status
    if status == "active" and scoring.needs_revision(alpha, beta):
        status = "needs_revision"
    connection.execute(update(model).where(model.c.id == held.id).values(alpha=alpha, beta=beta, status=status))


def _check_same(row: Row[Any], outcome: bool) -> None:
    if row.status == "expired":
        raise MemoryStoreError(
            f"The prediction {row.id!r} expired at {row.expires_at.isoformat()} and stays unscored; make a new one."
        )
    if row.outcome != outcome:
        raise MemoryStoreError(
            f"The prediction {row.id!r} was resolved as {str(row.outcome).lower()} already; an outcome is not changed."
        )


def _record(row: Row[Any]) -> Prediction:
    names = (name for name in Prediction.model_fields)
    return Prediction.model_validate({name: getattr(row, name) for name in names})
