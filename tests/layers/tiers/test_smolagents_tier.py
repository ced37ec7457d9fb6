"""A user's own smolagents model as a tier: counts, errors, and a run that doesn't wait for it."""

import threading

import pytest
from smolagents.models import ChatMessage, MessageRole, Model
from smolagents.monitoring import TokenUsage

from layers.run import Lifeline, RunStopped, StopReason
from layers.tiers.smolagents_model import SmolagentsModel


class Own(Model):
    def __init__(self, answer, **kwargs):
        super().__init__(**kwargs)
        self.answer = answer
        self.seen = []

    def generate(self, messages, **options):
        self.seen.append((messages, options))
        return self.answer()


def said(text="hello", usage=None):
    return ChatMessage(MessageRole.ASSISTANT, text, token_usage=usage)


def test_the_answer_and_its_counts_come_through(request_of, lifeline):
    own = Own(lambda: said(usage=TokenUsage(30, 4)), model_id="mine")
    reply = SmolagentsModel("fast", own).chat(request_of("hi", stop=["x"]), lifeline)
    assert (reply.message.content, reply.model_id) == ("hello", "mine")
    assert (reply.input_tokens, reply.output_tokens, reply.estimated) == (30, 4, False)
    assert reply.usd is None
    messages, options = own.seen[0]
    assert messages[0].content == "hi"
    assert options == {"stop_sequences": ["x"]}


def test_counts_that_it_does_not_give_are_estimated_and_marked(request_of, lifeline):
    reply = SmolagentsModel("fast", Own(lambda: said("word " * 100))).chat(request_of("word " * 400), lifeline)
    assert reply.estimated
    assert 400 <= reply.input_tokens <= 700
    assert 100 <= reply.output_tokens <= 200


def test_a_model_without_id_is_called_by_its_class():
    assert SmolagentsModel("fast", Own(said)).model_id == "Own"


def test_its_bound_has_no_price_and_covers_its_own_limit(request_of):
    small = SmolagentsModel("fast", Own(said, max_tokens=10)).bound(request_of("x" * 1000))
    large = SmolagentsModel("fast", Own(said)).bound(request_of("x" * 1000))
    assert small.usd is None
    assert 510 <= small.tokens < large.tokens


def test_its_error_is_an_outage_of_the_tier(request_of, lifeline):
    def broken():
        raise ValueError("no GPU")

    with pytest.raises(RunStopped, match=r"'fast'.*ValueError: no GPU") as caught:
        SmolagentsModel("fast", Own(broken)).chat(request_of(), lifeline)
    assert caught.value.reason is StopReason.MODEL


def test_a_cancelled_run_does_not_wait_for_it(request_of, within):
    lifeline, started, release = Lifeline(), threading.Event(), threading.Event()

    def slow():
        started.set()
        release.wait(60)
        return said()

    model = SmolagentsModel("fast", Own(slow))
    threading.Thread(target=lambda: started.wait(30) and lifeline.stop(StopReason.CANCELLED, "enough")).start()
    with within(3), pytest.raises(RunStopped, match="enough"):
        model.chat(request_of(), lifeline)
    release.set()
    for thread in threading.enumerate():
        if thread.name == "smolagents-model":
            thread.join(10)
