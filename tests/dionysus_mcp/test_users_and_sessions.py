"""Users and sessions within a project: each reads its own and what is shared, as if nobody else were there."""

import contextlib
import json
import re

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from dionysus_mcp import admin
from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall import within
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.recall.terms import Stemmer, Term
from dionysus_mcp.scope import Scope
from dionysus_mcp.store.counting import count_rows
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.vectors import Vectors
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.exporting import export_lines
from dionysus_mcp.upkeep.importing import Import
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH, sqlite_only
from tests.dionysus_mcp.memories_of import LIMIT, current, opened, problems, told

ENGINES = BOTH
SCOPES = (
    Scope("local", "default"),
    Scope("local", "default", "ann"),
    Scope("local", "default", "bob"),
    Scope("local", "default", "ann", "tea"),
    Scope("local", "other", "ann"),
)
WORDS = ("tea", "coffee", "harbour")
actions = st.tuples(
    st.sampled_from(range(len(SCOPES))),
    st.sampled_from(["tell", "tell", "update", "forget", "restore", "believe", "predict", "purge", "purge one"]),
    st.sampled_from(WORDS),
    st.integers(0, 5),
)
_IDS = re.compile(r"\b[mbp]-[0-9a-f]{16}\b")
_TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?")


class Actor:
    """One scope of a store: what it does, and all that it can see."""

    def __init__(self, settings, scope):
        self.settings = settings.model_copy(update={**scope.changes(), "embedder": "none"})
        self._opening = opened(self.settings)
        self.store = self._opening.__enter__()
        self._embedder = BackgroundEmbedder(self.store, self.settings)
        self._embedder.start()
        self._search = Search(self.store, self._embedder)

    def do(self, action, word, number):
        versions, beliefs = Versions(self.store), MentalModels(self.store).held(99)
        seen = Memories(self.store).recent(99)
        chosen = seen[number % len(seen)].id if seen else "m-none"
        steps = {
            "tell": lambda: self._tell(word, number),
            "update": lambda: versions.update(chosen, Change("r", content=f"{word} anew"), limit=LIMIT),
            "forget": lambda: versions.forget(chosen, "r"),
            "restore": lambda: versions.restore(chosen),
            "believe": lambda: MentalModels(self.store).create(NewModel("world", word)),
            "predict": lambda: Predictions(self.store).make(NewPrediction(beliefs[0].id, word, 0.5)),
            "purge": lambda: Purge(self.store, Selection(sessions=[word])).run(),
            "purge one": lambda: Purge(self.store, Selection(ids=[chosen], versions=True)).run(),
        }
        with contextlib.suppress(MemoryStoreError, IndexError):
            steps[action]()

    def seen(self):
        """All that this scope can see, without the times and random ids by which two stores differ."""
        memories = Memories(self.store)
        recalls = [self._search.recall(Query(f"{word} anew or bread", 100, 8000)) for word in WORDS]
        found = [
            [one.model_dump(mode="json") for one in memories.recent(999)],
            memories.counts(),
            count_rows(self.store),
            [recall.model_dump(mode="json") for recall in recalls],
            [json.loads(line) for line in export_lines(self.store, lambda *_: None)],
            [one.model_dump(mode="json") for one in MentalModels(self.store).held(99)],
            [one.model_dump(mode="json") for one in Predictions(self.store).open(99)],
            Purge(self.store, Selection(everything=True)).trial().model_dump(),
            Vectors(self.store, "m", 4).count_missing(),
        ]
        names: dict[str, str] = {}
        plain = _TIMES.sub("then", json.dumps(found, indent=0))
        return _IDS.sub(lambda match: names.setdefault(match[0], f"id {len(names)}"), plain)

    def close(self):
        self._search.close()
        self._embedder.close()
        self._opening.__exit__(None, None, None)

    def _tell(self, word, number):
        session = None if self.store.scope.session or number % 2 else word
        return told(self.store, f"{word} {number}", session_id=session, speaker=f"Person {number}")


def reads_of(reader, writer):
    """Whether what the writer stores may concern the reader."""
    same = (reader.tenant, reader.project) == (writer.tenant, writer.project)
    return same and writer.user in ("", reader.user)


@sqlite_only
@given(st.lists(actions, min_size=6, max_size=16))
@rules(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_scope_sees_is_made_of_its_own_and_of_what_is_shared(settings, tmp_path_factory, steps):
    """Each scope is shown the same by the common store as by one in which nobody else ever wrote."""
    folder = tmp_path_factory.mktemp("users")

    def played(name, scopes):
        file = settings.model_copy(update={"url": f"sqlite:///{folder / name}.db"})
        actors = {scope: Actor(file, scope) for scope in scopes}
        with opened(file, tenant="stranger") as store:
            told(store, "tea coffee harbour anew bread")  # that others are there at all makes a difference
        for number, action, word, place in steps:
            if SCOPES[number] in actors:
                actors[SCOPES[number]].do(action, word, place)
        return actors

    together = played("together", SCOPES)
    try:
        for number, reader in enumerate(SCOPES):
            alone = played(f"alone {number}", [one for one in SCOPES if reads_of(reader, one)])
            try:
                assert together[reader].seen() == alone[reader].seen(), str(reader)
            finally:
                for one in alone.values():
                    one.close()
        assert problems(together[SCOPES[0]].store) == {}
    finally:
        for one in together.values():
            one.close()


@pytest.fixture
def acting(settings):
    with contextlib.ExitStack() as stack:
        actors = {scope: Actor(settings, scope) for scope in SCOPES}
        for one in actors.values():
            stack.callback(one.close)
        yield actors


def test_a_user_sees_the_own_and_the_shared_and_nobody_elses(acting):
    shared, ann, bob, tea, other = (acting[scope].store for scope in SCOPES)
    told(shared, "The office opens at nine.")
    told(ann, "Ann's code is 1234.")
    told(bob, "Bob's code is 4321.")
    told(other, "Ann plays chess elsewhere.")
    assert current(shared) == ["The office opens at nine."]
    assert current(ann) == ["Ann's code is 1234.", "The office opens at nine."]
    assert current(bob) == ["Bob's code is 4321.", "The office opens at nine."]
    assert current(tea) == []
    assert current(other) == ["Ann plays chess elsewhere."]


def test_a_session_sees_itself_alone_and_gives_its_name_to_what_is_told_in_it(acting):
    _, ann, bob, tea, _ = (acting[scope].store for scope in SCOPES)
    told(ann, "Before tea.")
    told(bob, "Bob's own tea.", session_id="tea")
    said = told(tea, "Two sugars.")
    assert said.session_id == "tea"
    assert current(tea) == ["Two sugars."]
    assert current(ann) == ["Two sugars.", "Before tea."]
    with pytest.raises(MemoryStoreError, match="for the session 'tea' alone"):
        told(tea, "No sugar.", session_id="coffee")
    with pytest.raises(MemoryStoreError, match="Unknown memory ids"):
        Memories(tea).get([Memories(ann).recent(2)[1].id])


def test_what_is_shared_is_read_by_users_and_changed_by_none(acting):
    shared, ann = acting[SCOPES[0]].store, acting[SCOPES[1]].store
    said = told(shared, "Tea is at four.")
    belief = MentalModels(shared).create(NewModel("world", "Tea is hot."))
    predicted = Predictions(shared).make(NewPrediction(belief.id, "It burns.", 0.5))
    assert Memories(ann).get([said.id])[0].content == "Tea is at four."
    assert MentalModels(ann).get(belief.id).statement == "Tea is hot."
    for attempt in (
        lambda: Versions(ann).update(said.id, Change("r", content="Tea is off."), limit=LIMIT),
        lambda: Versions(ann).forget(said.id, "r"),
        lambda: Versions(ann).restore(said.id),
        lambda: MentalModels(ann).revise(belief.id, "Tea is cold.", "r"),
        lambda: Predictions(ann).make(NewPrediction(belief.id, "It cools.", 0.5)),
        lambda: Predictions(ann).resolve(predicted.id, True),
    ):
        with pytest.raises(MemoryStoreError, match="shared by the whole project; the user 'ann' may read it"):
            attempt()
    with pytest.raises(MemoryStoreError, match="Unknown memory ids"):
        Purge(ann, Selection(ids=[said.id])).run()
    Purge(ann, Selection(everything=True)).run()
    assert current(shared) == ["Tea is at four."]


def test_the_same_words_of_two_users_are_two_memories(acting):
    _, ann, bob, _, _ = (acting[scope].store for scope in SCOPES)
    first, second = told(ann, "My dog is called Rex."), told(bob, "My dog is called Rex.")
    assert first.id != second.id
    assert told(ann, "My dog is called Rex.").id == first.id
    Versions(ann).forget(first.id, "he moved out")
    assert current(bob) == ["My dog is called Rex."]


def test_an_export_holds_the_users_own_and_comes_back_for_another_user(acting):
    shared, ann, bob, _, _ = (acting[scope].store for scope in SCOPES)
    told(shared, "The office opens at nine.")
    told(ann, "Ann's code is 1234.", session_id="q4")
    lines = [line.encode() for line in export_lines(ann, lambda *_: None)]
    assert b"office" not in b"".join(lines)
    for _ in range(2):  # the second time everything is there
        Import(bob, LIMIT, lambda _: None).take(lines)
        assert current(bob) == ["Ann's code is 1234.", "The office opens at nine."]
    with pytest.raises(MemoryStoreError, match="for the session 'tea' alone"):
        Import(acting[SCOPES[3]].store, LIMIT, lambda _: None).take(lines)


@sqlite_only
def test_a_file_is_taken_in_for_each_user_apart(settings, tmp_path):
    (tmp_path / "notes.md").write_text("# Tea\n\nTea is at four.\n")
    plain = settings.model_copy(update={"embedder": "none"})
    for scope in SCOPES[:4]:
        summary = admin.ingest([tmp_path / "notes.md"], plain.model_copy(update=scope.changes()))
        assert (summary.added, summary.unchanged) == (1, 0), str(scope)
    (tmp_path / "notes.md").write_text("# Tea\n\nTea is at five.\n")
    changed = admin.ingest([tmp_path / "notes.md"], plain.model_copy(update=SCOPES[2].changes()))
    assert (changed.added, changed.superseded) == (1, 1)
    with opened(plain, user="ann") as store:
        assert set(current(store)) == {"Tea is at four."}


def test_a_shared_memory_is_embedded_without_knowing_of_a_users_session(settings):
    """The names of a session's speakers are left out of vectors: a user's own must not show in what others compare."""
    with opened(settings) as shared, opened(settings, user="ann") as ann:
        told(shared, "We met Rose.", session_id="s", speaker="Ann")
        told(ann, "I am called so.", session_id="s", speaker="Rose")
        said, own = Vectors(ann, "m", 4).missing(9)
        assert (said.speakers, own.speakers) == ({"Ann"}, {"Rose"})


@sqlite_only
@pytest.mark.parametrize("name", ["user", "session"])
def test_an_empty_name_is_refused_rather_than_taken_for_none(monkeypatch, name):
    """A variable that was meant to be set must not make private words shared ones."""
    from dionysus_mcp.settings import MemorySettings

    monkeypatch.setenv(f"DIONYSUS_MEMORY__{name.upper()}", "")
    with pytest.raises(ValueError, match=name):
        MemorySettings()


def test_the_embedding_of_a_shared_memory_is_one_for_all(settings, model):
    with opened(settings) as shared:
        told(shared, "Whiskers slept on the warm stove.")
    for user, content in (("ann", "A kitten dozed by the oven."), ("bob", "The puppy ran.")):
        with opened(settings, user=user) as store:
            told(store, content)
            embedder = BackgroundEmbedder(store, settings, lambda _threads: model)
            embedder.start()
            embedder.wait(60)
            embedder.follow()
            search = Search(store, embedder)
            found = search.recall(Query("feline nap", 10, 8000))
            assert {hit.content for hit in found.hits} == {"Whiskers slept on the warm stove.", content}
            assert Vectors(store, model.model_id, model.dimension).count_missing() == 0
            embedder.close()
            search.close()


@sqlite_only
def test_a_memory_without_an_owner_is_not_to_be_had(store):
    """A row that was tampered with or half migrated is nobody's."""
    said = told(store, "Tea is at four.")
    with store.read() as connection:
        columns = {row[1]: row[3] for row in connection.exec_driver_sql("PRAGMA table_info(memory)")}
    assert columns["owner"] == 1, "the column takes no null"
    store.write(lambda connection: connection.exec_driver_sql("UPDATE memory SET owner = 'nobody'"))
    assert current(store) == []
    with pytest.raises(MemoryStoreError, match="Unknown memory ids"):
        Versions(store).history(said.id)


def test_a_memory_told_twice_in_a_session_is_stored_once(acting):
    tea = acting[SCOPES[3]].store
    memories = Memories(tea)
    assert [memories.add(NewMemory("Two sugars."), limit=LIMIT)[1] for _ in range(2)] == [True, False]
    assert not memories.add(NewMemory("Two sugars.", session_id="tea"), limit=LIMIT)[1]


def test_what_others_write_makes_no_word_common(settings):
    """Or `missing_terms` would tell what others write about."""
    plain = settings.model_copy(update={"embedder": "none"})
    told_of = []
    for others in ("nothing of that", "the zebra merger is secret"):
        with opened(plain, tenant=others.split()[1]) as store:
            for number in range(40):
                told(store, f"{others} {number}")
        ann = Actor(plain, SCOPES[1])
        if not told_of:
            for number in range(40):
                told(ann.store, f"lunch {number}")
        told_of.append(ann._search.recall(Query("lunch with the zebra about a merger", 8, 8000)).model_dump())
        ann.close()
    assert told_of[0] == told_of[1]
    assert told_of[0]["missing_terms"] == ["zebra", "merger"]


def test_recall_beside_others_finds_what_it_finds_alone(settings):
    plain = settings.model_copy(update={"embedder": "none"})
    ann, found = Actor(plain, SCOPES[1]), []
    for number in range(30):
        told(ann.store, f"{'tea ' * (number % 3)}at {number} o'clock in the harbour", source="day.md")
    for other in ("", "bob"):
        if other:
            with opened(plain, user=other) as store:
                told(store, "tea in the harbour")
        found.append([hit.content for hit in ann._search.recall(Query("tea at 9 in the harbour", 9, 8000)).hits])
    ann.close()
    assert found[0] == found[1]
    assert "at 9 o'clock" in found[0][0]


@sqlite_only
@pytest.mark.parametrize("own", [10, 60])
def test_a_word_that_is_common_in_all_the_store_is_counted_in_a_sample_of_the_scope(settings, monkeypatch, own):
    monkeypatch.setattr(within, "_COMMON", 5)
    monkeypatch.setattr(within, "_SAMPLE", 20)
    with opened(settings) as loud, opened(settings, user="ann") as ann, contextlib.closing(Stemmer()) as stemmer:
        for number in range(own):
            told(ann, f"{'zebras' if number % 2 else 'horses'} {number}")
        for number in range(30):
            told(loud, f"zebra {number}", session_id="loud")
        with opened(settings, project="another") as other:
            told(other, "zebra")
        with ann.read() as connection:
            counted = within.count(connection, ann.scope, stemmer, [Term("zebra", ("zebra",), 0)])
        assert counted.total == own + 30
        # The newest twenty are shared ones that all hold it.
        assert counted.frequencies["zebra"] == counted.total
