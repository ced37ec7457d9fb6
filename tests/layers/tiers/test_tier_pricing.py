"""Prices from LiteLLM's map, and counts of tokens without a tokenizer."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.tiers.pricing import Price, listed_price, output_limit
from layers.tiers.tokens import likely_tokens, most_prompt_tokens, most_tokens

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 20,
    "def f(x):\n    return {'a': [x ** 2 for x in range(10)]}\n" * 20,
    '{"id": "3f2a9c1e-77b0-4c1d-9a51-0e6f1b2c3d4e", "score": 0.123456789, "when": "2026-11-21T09:35:25Z"}' * 10,
    "Die Maßnahmen für Übergänge müssen überprüft werden. " * 20,
    "天地玄黄宇宙洪荒日月盈昃辰宿列张" * 20,
    "Быстрая коричневая лиса прыгает через ленивую собаку. " * 20,
    "🙂🚀🧠✨🦊" * 30,
    "مرحبا بالعالم كيف حالك اليوم " * 20,
]


def test_a_listed_model_has_its_price():
    price = listed_price("openai/gpt-4o-mini")
    assert (price.input, price.output) == pytest.approx((0.15e-6, 0.6e-6))
    assert not price.configured
    assert price.cost(1000, 100) == pytest.approx(0.00015 + 0.00006)


@pytest.mark.parametrize(
    "model", ["openai/unheard-of", "unheard-of", "openai/claude-haiku-4-5", "ollama/codellama", "openai/container", ""]
)
def test_a_price_that_is_not_known_is_none_and_never_zero(model):
    assert listed_price(model) is None


def test_a_name_without_provider_is_found_too():
    assert listed_price("gpt-4o-mini") == listed_price("openai/gpt-4o-mini")


def test_a_long_prompt_is_bounded_at_its_dearer_price():
    short, long = listed_price("openai/gpt-6-sol"), listed_price("openai/gpt-6-sol", 300_000)
    assert short.bound(1000, 1000) >= short.cost(1000, 1000)
    assert long.most_input >= 2 * short.input
    assert long.bound(300_000, 1000) > short.bound(300_000, 1000)


def test_a_configured_price_is_its_own_bound():
    assert Price(2e-6, 4e-6, configured=True).bound(10, 10) == pytest.approx(60e-6)


def test_output_limits_are_known_for_listed_models_only():
    assert output_limit("openai/gpt-4o-mini") == 16384
    assert output_limit("openai/unheard-of") is None


def test_prices_are_known_without_importing_litellm():
    code = (
        "import sys; from layers.tiers.pricing import listed_price; listed_price('openai/gpt-4o'); "
        "print('litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
def test_the_bound_is_never_below_a_real_tokenizers_count(text, encoding, bundled_encoding):
    assert most_tokens(text) >= len(bundled_encoding(encoding).encode(text))


@pytest.mark.parametrize("text", TEXTS[:4])
def test_the_estimate_of_european_text_is_within_half_of_the_count(text, bundled_encoding):
    counted = len(bundled_encoding("cl100k_base").encode(text))
    assert counted / 2 <= likely_tokens(text) <= counted * 2


@given(st.text())
def test_the_bound_is_never_below_the_estimate(text):
    assert most_tokens(text) >= likely_tokens(text) - 1


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one, other):
    assert most_tokens(one + other) >= max(most_tokens(one), most_tokens(other))


def test_a_prompt_counts_its_messages_tools_and_images():
    text = [{"role": "user", "content": "x" * 1000}]
    image = [{"role": "user", "content": [{"type": "text", "text": "x" * 1000}, {"type": "image_url"}]}]
    tools = [{"type": "function", "function": {"name": "x" * 1000}}]
    assert most_prompt_tokens(text, []) >= 500
    assert most_prompt_tokens(text, tools) >= most_prompt_tokens(text, []) + 500
    assert most_prompt_tokens(image, []) >= most_prompt_tokens(text, []) + 1000
