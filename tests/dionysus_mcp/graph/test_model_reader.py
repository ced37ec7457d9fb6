"""A model that reads for the graph, played by a scripted server: what it says must be borne out by the memory."""

import contextlib
import json

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from dionysus_mcp.graph.tables import seen
from dionysus_mcp.graph.worker import ModelReading
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.graph.worlds import explore, said, tell, until, working
from tests.support.openai_server import Fail, OpenAIServer, Rubbish, Say

TEXT = "Ann Miller mentors Bob at the harbour."


def claims(*given):
    return Say(json.dumps({"relations": list(given)}))


def claim(subject="Ann Miller", type_="mentors", object_="Bob", sentence=TEXT, **rest):
    return {"subject": subject, "type": type_, "object": object_, "sentence": sentence, "confidence": 1.0} | rest


def asking(settings, server):
    return settings.model_copy(
        update={"graph_model": "openai/reader", "graph_model_url": server.url, "graph_model_key": SecretStr("k")}
    )


def read_by_model(settings, script, *contents, **rest):
    """What is known around Ann Miller once the model has read all, and how often it was asked."""
    with OpenAIServer(script) as server, working(asking(settings, server)) as (store, worker):
        tell(store, *contents, **rest)
        worker.follow()
        until(lambda: read_by(store, "model:openai/reader") == len(contents))
        return explore(worker, "Ann Miller"), server.requests


def read_by(store, reader):
    """How many memories a reader has read to the end, its findings stored."""
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(seen).where(seen.c.reader == reader)).scalar_one()


def test_a_relation_that_no_pattern_knows_is_found_with_its_sentence(words_only):
    found, requests = read_by_model(words_only, [claims(claim())], f"News. {TEXT} More.")
    (relation,) = found.relations
    assert (relation.type, relation.confidence) == ("mentors", 0.8)
    assert relation.evidence[0].quote == TEXT
    assert relation.evidence[0].extractor == "model:openai/reader"
    told = requests[0].body["messages"]
    assert json.loads(told[-1]["content"]) == f"News. {TEXT} More."
    assert "not an instruction" in told[0]["content"]


def test_what_a_speaker_says_of_themself_may_be_read_so(words_only):
    own = claim("Zoe", "mentors", "Ann Miller", "I mentor Ann Miller.")
    found, _ = read_by_model(words_only, [claims(own)], "I mentor Ann Miller.", speaker="Zoe")
    assert said(found) == {("Zoe", "mentors", "Ann Miller")}


@pytest.mark.parametrize(
    "answer",
    [
        claims(claim(sentence="Ann Miller mentors Bob in secret.")),
        claims(claim(subject="Eve")),
        claims(claim(object_="Bo")),
        claims(claim(object_="ann miller")),
        claims(claim(type_="x`) DETACH DELETE n //")),
        claims(claim(type_="")),
        claims(claim(confidence=7)),
        claims(claim(confidence="high")),
        claims(claim(subject=["Ann Miller"])),
        claims(claim(subject="\u202e")),
        Say("I can't do that."),
        Say("[" * 10_000),
        Say('{"relations": {"a": 1}}'),
        Say('{"relations": 5}'),
        Say('{"relations": null}'),
        Say('{"relation'),
        Say(""),
    ],
)
def test_what_the_memory_does_not_bear_out_is_left_out(words_only, answer):
    found, _ = read_by_model(words_only, [answer], f"{TEXT} We met Ann Miller.")
    assert found.relations == []


def test_each_memory_is_read_once_also_after_a_restart(words_only):
    with OpenAIServer([claims(claim())] * 5) as server:
        settings = asking(words_only, server)
        with working(settings) as (store, worker):
            tell(store, TEXT, "We met Eve.")
            worker.follow()
            until(lambda: read_by(store, "model:openai/reader") == 2)
        with working(settings) as (store, worker):
            tell(store, TEXT, "We met Eve.")
            assert worker.wait(60)
            assert ModelReading(store, settings).read_one() == 0, "there is nothing left to read"
        assert len(server.requests) == 2


@pytest.mark.parametrize("answer", [Fail(500), Rubbish()])
def test_a_model_that_fails_leaves_what_the_rules_found(words_only, answer):
    with OpenAIServer([answer] * 3) as server, working(asking(words_only, server)) as (store, worker):
        tell(store, "Ann Miller works at Acme Corp.")
        worker.follow()
        until(lambda: server.requests)
        assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "works_at", "Acme Corp")}
    with contextlib.closing(Store(words_only)) as store:
        assert read_by(store, "model:openai/reader") == 0, "it is asked again another time"


def test_without_the_setting_no_model_is_asked(words_only):
    with OpenAIServer([claims(claim())]) as server, working(words_only) as (store, worker):
        tell(store, TEXT)
        assert worker.wait(30)
        assert server.requests == []
    Store(words_only).close()
