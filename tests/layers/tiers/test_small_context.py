"""Endpoints with a small context: the prompt is shortened until it fits, and stays so; else it is said plainly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.run import RunStopped, StopReason
from layers.tiers.fitting import FEWEST_CHARACTERS, characters_of, fitted
from tests.support.openai_server import Fail, OpenAIServer, Say

OPENAI = "This model's maximum context length is {tokens} tokens. However, your messages resulted in more."
WORDS_ALONE = "Your input exceeds the context window of this model."

OTHERS = (
    "This model's maximum context length is 131,072 tokens. Please shorten it.",
    "The model has a context window of 128K tokens, which is exceeded.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 9000",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "Input is too long for requested model.",
)


def small(characters, message=OPENAI, tokens=4096, answer="it fits"):
    """Play an endpoint that refuses every prompt of more than so many characters, and long answers."""

    def play(request):
        if len(request.text) > characters:
            return Fail(400, message.format(tokens=tokens), code="context_length_exceeded")
        return Say(answer)

    return play


LONG = (
    ("system", "You are brief."),
    ("user", "The task: count the ducks. " + "pond " * 1000),
    ("assistant", "I look around. " + "looking " * 1000),
    ("user", "Observation: " + "reeds " * 2000 + "seven ducks"),
)


@pytest.mark.parametrize("message", [OPENAI, WORDS_ALONE])
def test_a_prompt_too_long_for_its_model_is_shortened_until_it_fits(tier, request_of, lifeline, message):
    with OpenAIServer(small(9000, message)) as server:
        model = tier(server)
        assert model.chat(request_of(*LONG), lifeline).message.content == "it fits"
        seen = server.requests[-1]
        assert seen.texts[0] == "You are brief."
        assert seen.texts[1].startswith("The task: count the ducks.")
        assert seen.texts[-1].endswith("seven ducks")
        assert "characters left out" in seen.texts[2]
        asked = len(server.requests)
        model.chat(request_of(*LONG), lifeline)
        assert len(server.requests) == asked + 1  # what fitted is remembered


@pytest.mark.parametrize("message", OTHERS)
def test_other_words_for_a_prompt_that_is_too_long_are_understood(tier, request_of, lifeline, message):
    with OpenAIServer(small(9000, message)) as server:
        assert tier(server).chat(request_of(*LONG), lifeline).message.content == "it fits"


def test_a_prompt_that_no_shortening_helps_is_an_outage_that_says_so(tier, request_of, lifeline):
    with OpenAIServer(small(0, WORDS_ALONE)) as server, pytest.raises(RunStopped) as caught:
        tier(server).chat(request_of(*LONG), lifeline)
    assert caught.value.reason is StopReason.MODEL
    assert "does not fit into its context, shortened too (Your input exceeds" in caught.value.detail
    assert "fallbacks" not in caught.value.detail
    assert len(server.requests) < 10


def test_a_deployment_with_a_longer_context_takes_what_nothing_shortens(tier, request_of, lifeline):
    with OpenAIServer(small(0)) as short, OpenAIServer([Say("from the longer one")]) as long:
        assert tier([short, long]).chat(request_of("x"), lifeline).message.content == "from the longer one"


texts = st.text(alphabet="ab ", max_size=6000)
roles = st.sampled_from(["system", "user", "assistant"])
messages = st.lists(st.fixed_dictionaries({"role": roles, "content": texts}), min_size=1, max_size=12)


@given(messages, st.integers(FEWEST_CHARACTERS, 20_000))
def test_fitted_messages_keep_their_roles_and_are_about_as_long_as_asked(said, characters):
    short = fitted(said, characters)
    assert [message["role"] for message in short] == [message["role"] for message in said]
    if characters_of(said) <= characters:
        assert short == said
    else:
        assert characters_of(short) <= characters + 100 * len(said)


def test_images_stay_and_parts_are_cut_each():
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "a" * 9000}, image]},
        {"role": "user", "content": None},
    ]
    first, second = fitted(said, 3000)
    assert first["content"][1] == image
    assert len(first["content"][0]["text"]) <= 3000
    assert second["content"] == []
