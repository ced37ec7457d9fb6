"""How many rows of each kind a scope has."""

from sqlalchemy import func, select

from dionysus_mcp.consolidation.tables import strength
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import visible


def count_rows(store: Store) -> dict[str, int]:
    """Superseded and fading memories, vectors, mental models and predictions that the store's scope can see."""
    memory, model = schema.memory, schema.mental_model
    mine, held = visible(memory, store.scope), visible(model, store.scope)
    queries = {
        "superseded": select(func.count()).select_from(memory).where(mine, memory.c.recorded_to.is_not(None)),
        "vectors": select(func.count()).select_from(schema.vector.join(memory)).where(mine),
        "mental_models": select(func.count()).select_from(model).where(held),
        "predictions": select(func.count()).select_from(schema.prediction.join(model)).where(held),
    }
    current = select(func.count()).select_from(strength.join(memory)).where(mine, memory.c.recorded_to.is_(None))
    queries["recalled"] = current.where(strength.c.recalls > 0)
    queries |= {band: current.where(strength.c.band == band) for band in ("fading", "faded")}
    with store.read() as connection:
        return {name: connection.execute(query).scalar_one() for name, query in queries.items()}
