"""What several tests of the store do with it."""

import contextlib
import sqlite3

from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.verify import verify

LIMIT = 100_000


def structure(path):
    """Tables with their columns and foreign keys, indexes and triggers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: {row[1:] for row in connection.execute(f"PRAGMA table_info({name})")} for name in names}
        keys = {name: {row[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")} for name in names}
        rest = set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type != 'table'"))
    return columns, keys, rest


@contextlib.contextmanager
def opened(settings, **scope):
    with contextlib.closing(Store(settings.model_copy(update=scope))) as store:
        yield store


def told(store, content, **rest):
    return Memories(store).add(NewMemory(content, **rest), limit=LIMIT)[0]


def current(store):
    return [one.content for one in Memories(store).recent(10_000)]


def fill(store, word):
    """Memories of every fate, a belief and its predictions, all of which hold the word."""
    versions = Versions(store)
    old = told(store, f"{word} is served at four.", speaker="Ann", session_id=f"{word} day", source=f"{word}.md")
    new = versions.update(old.id, Change(f"{word} moved", content=f"{word} is served at five."), limit=LIMIT)
    gone = told(store, f"{word} was bitter.", metadata={word: [None, 1.5, {"a": True}]}, context=f"About {word}")
    versions.forget(gone.id, f"no more {word}")
    versions.restore(gone.id)
    belief = MentalModels(store).create(NewModel("user", f"They like {word}.", (word,)))
    predictions = Predictions(store)
    predictions.resolve(predictions.make(NewPrediction(belief.id, f"{word} is asked for", 0.7)).id, True)
    predictions.make(NewPrediction(belief.id, f"{word} is refused", 0.1, rule=f"contains: {word}"))
    MentalModels(store).revise(belief.id, f"They love {word}.", f"they asked for {word}")
    return new


def problems(store, **how):
    """What `verify` finds, by the name of the check."""
    found = verify(store, lambda *_: None, **how)
    return {check.name: check for check in found.checks if check.problems}
