"""What several tests of the store do with it."""

import contextlib
import sqlite3
import time
from datetime import UTC, datetime, timedelta

import hypothesis
import psycopg

from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.verify import verify

LIMIT = 100_000


def structure(path):
    """Tables with their columns, keys and counting, indexes and triggers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:

        def rows(query):
            return connection.execute(query).fetchall()

        def unique(name):
            """Columns that are unique together; what alone is so by a constraint has no index in `rest`."""
            return {
                tuple(row[2] for row in rows(f"PRAGMA index_info({key[1]})"))
                for key in rows(f"PRAGMA index_list({name})")
                if key[2]
            }

        names = [row[0] for row in rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {
            name: (
                {row[1:] for row in rows(f"PRAGMA table_info({name})")},
                {row[2:] for row in rows(f"PRAGMA foreign_key_list({name})")},
                unique(name),
            )
            for name in names
        }
        counting = set(rows("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"))
        rest = set(rows("SELECT type, name, sql FROM sqlite_master WHERE type != 'table'"))
    return tables, counting, rest


def structure_in_postgres(address):
    """The same of a schema `dionysus` in PostgreSQL, as the server itself writes it down."""
    queries = (
        "SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "pg_get_expr(d.adbin, d.adrelid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND adnum = attnum WHERE relnamespace = 'dionysus'::regnamespace",
        "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'dionysus'::regnamespace",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'dionysus'",
        "SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid "
        "WHERE relnamespace = 'dionysus'::regnamespace AND NOT tgisinternal",
        "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'dionysus'::regnamespace",
        "SELECT sequencename, data_type FROM pg_sequences WHERE schemaname = 'dionysus'",
    )
    with psycopg.connect(address) as connection:
        return [{tuple(map(str, row)) for row in connection.execute(query)} for query in queries]


@contextlib.contextmanager
def opened(settings, **scope):
    with contextlib.closing(Store(settings.model_copy(update=scope))) as store:
        yield store


def told(store, content, **rest):
    return Memories(store).add(NewMemory(content, **rest), limit=LIMIT)[0]


def examples(usual):
    """As many examples of a property that opens stores for each; ten times as many in `make test-all`."""
    return usual if hypothesis.settings().max_examples < 500 else 10 * usual


def a_moment_apart():
    """A moment after all that is stored and before all that will be: the wall clock has moved on around it."""
    for _ in range(2):
        moment = datetime.now(UTC)
        while datetime.now(UTC) - moment < timedelta(milliseconds=2):
            time.sleep(0.001)
    return moment


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
