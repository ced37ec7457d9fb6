"""What a recall promises in seconds: a model that orders hits is waited for no longer than the settings say."""

import time

import pytest

from dionysus_mcp.settings import MemorySettings
from tests.dionysus_mcp.test_rerank import TEXTS, reranking
from tests.promises import SLACK
from tests.support.openai_server import Hang, Say, Trickle


@pytest.fixture
def settings(tmp_path):
    return MemorySettings(url=f"sqlite:///{tmp_path / 'memory.db'}")


@pytest.mark.parametrize("action", [Hang(30), Trickle(pause=0.1)], ids=["silence", "signs of life"])
def test_a_late_answer_of_a_reranking_model_is_not_waited_for(settings, action):
    with reranking(settings, [Say("[1, 2]")]) as (reranker, _):
        # The first call of a process takes longer than the second that the next one is given.
        assert reranker.order("ready?", TEXTS[:2]).notice is None
    with reranking(settings, [action], rerank_timeout=1.0) as (reranker, _):
        began = time.perf_counter()
        found = reranker.order("When is tea?", TEXTS)
        assert time.perf_counter() - began < SLACK * 1.0
        assert "did not answer within 1 seconds" in found.notice
    assert found.order == [0, 1, 2]
