"""The benchmarks of recall: weights fitted on other conversations, and figures that anyone can make."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
from tests.support.openai_server import OpenAIServer, Say

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SAID = [
    ("Ann", "Yesterday I painted the old harbour."),
    ("Bo", "How lovely! Which colours?"),
    ("Ann", "Mostly blue and a little red."),
    ("Bo", "My brother Tim moved to Lisbon last month."),
    ("Ann", "Does he like it there?"),
    ("Bo", "He loves the trams and the food."),
]
ASKED = [
    ("When did Ann paint the harbour?", 2, ["D1:1"]),
    ("Which colours did Ann use?", 4, ["D1:3"]),
    ("Where did Bo's brother move?", 4, ["D1:4"]),
    ("What does nobody know?", 5, ["D1:1"]),
]


@pytest.fixture
def data(tmp_path):
    turns = [{"speaker": who, "dia_id": f"D1:{n}", "text": text} for n, (who, text) in enumerate(SAID, start=1)]
    told = {"session_1": turns, "session_1_date_time": "1:56 pm on 8 May, 2023"}
    qa = [{"question": text, "category": category, "evidence": ids} for text, category, ids in ASKED]
    path = tmp_path / "told.json"
    path.write_text(json.dumps([{"conversation": told, "qa": qa}] * 2))
    return path


def run(script, *arguments, **environment):
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments)]
    variables = {"PATH": "", "PYTHONPATH": str(BENCHMARKS.parent), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=120).stdout


def test_each_conversation_is_judged_by_weights_that_never_saw_it(data, tmp_path):
    run("fit_recall.py", "--data", data, "--apart", tmp_path / "apart", "--out", tmp_path / "all.json")
    apart = [json.loads((tmp_path / "apart" / f"{number}.json").read_text()) for number in range(2)]
    assert [one["from"] for one in apart] == ["fitted without collection 0", "fitted without collection 1"]
    assert apart[0]["told"].keys() == json.loads((tmp_path / "all.json").read_text())["told"].keys()
    found = json.loads(run("recall.py", "--data", data, "--weights", tmp_path / "apart", "--json"))
    assert found.keys() == {"all", "category 2", "category 4"}, "what has no answer is not asked"
    assert found["all"]["questions"] == 6
    assert found["all"].keys() == {"questions", "BM25", "embedding", "rank fusion", "recall"}
    assert found["all"]["recall"] == {"R@5": 1, "R@10": 1, "MRR": 1, "nDCG@10": 1}


def test_a_model_that_orders_hits_is_shown_apart(data):
    with OpenAIServer([Say("[6, 5, 4, 3, 2, 1]")] * 6) as server:
        where = {"DIONYSUS_MEMORY__RERANK_API_BASE": server.url, "DIONYSUS_MEMORY__RERANK_TIMEOUT": "30"}
        shown = run("recall.py", "--data", data, "--rerank", "openai/judge", **where)
    first = [line.split() for line in shown.splitlines()[1:6]]
    assert [words[0] for words in first] == ["BM25", "embedding", "rank", "recall", "reranked"]
    assert float(first[4][6]) < float(first[3][6]), "the best hit was put last"


@pytest.mark.postgres
def test_postgres_is_measured_as_sqlite_is_and_left_empty(data, databases):
    with databases.fresh() as url:
        in_postgres, in_sqlite = (
            json.loads(run("recall.py", "--data", data, "--json", *where)) for where in (("--url", url), ())
        )
        with contextlib.closing(Store(MemorySettings(url=url))) as store:
            assert Memories(store).counts() == {}
            Memories(store).add(NewMemory("Tea is at four."), limit=100)
        with pytest.raises(subprocess.CalledProcessError) as refused:
            run("recall.py", "--data", data, "--url", url)
    assert "There are memories in this database" in refused.value.stderr
    assert in_postgres.keys() == in_sqlite.keys()
    assert in_postgres["all"].keys() == in_sqlite["all"].keys()
    assert in_postgres["all"]["recall"] == in_sqlite["all"]["recall"]


@pytest.mark.postgres
@pytest.mark.parametrize("place", ["sqlite", "postgres"])
def test_speed_is_measured_on_either_engine_in_a_store_that_is_gone_afterwards(place, postgres_url):
    def databases():
        with psycopg.connect(postgres_url) as connection:
            return connection.execute("SELECT datname FROM pg_database WHERE datname LIKE '%speed%'").fetchall()

    where = ["--url", postgres_url] if place == "postgres" else []
    shown = run("recall_speed.py", "--memories", 1200, "--real", 0, "--queries", 20, *where)
    assert "1,200 memories: recall p50 " in shown
    assert ("index of vectors made in " in shown) == (place == "postgres")
    assert databases() == []
