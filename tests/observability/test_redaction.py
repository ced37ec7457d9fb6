import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.content import Cleaner
from observability.redaction import REDACTED, Redactor

B64 = base64.b64encode(bytes(range(200))).decode()
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
SECRETS = [
    "sk-ant-api03-" + "a1B2" * 10,
    "sk-proj-" + "Zz9_" * 12,
    "ghp_" + "a" * 36,
    "github_pat_" + "11AA" * 8,
    "glpat-" + "x7" * 10,
    "xoxb-123456789012-abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "Sy" * 18,
    "hf_" + "Q" * 34,
    "gsk_" + "Q" * 34,
    "pplx-" + "q" * 40,
    "npm_" + "k" * 36,
    "sk_live_" + "k" * 24,
    JWT,
    f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n{B64}\n-----END RSA PRIVATE KEY-----",
]
LABELLED = [
    ("Authorization: Bearer {}", "abc.def-123"),
    ('{{"authorization": "Basic {}"}}', "dXNlcjpwYXNz"),
    ("curl -H 'authorization: token {}'", "0123456789abcdef"),
    ("called with bearer {} today", "a1b2c3d4e5f6"),
    ('{{"api_key": "{}", "q": 1}}', "correct horse"),
    ('"{{\\"password\\": \\"{}\\"}}"', "hunter22"),
    ("OPENAI_API_KEY={}", "zzz-1234567890"),
    ("password='{}'", "s3cr3t!"),
    ("https://x.test/?access_token={}&page=2", "tok1234567890"),
    ("postgresql://dionysus:{}@db.test/memory", "pa55-word"),
    ("Cookie: session={}", "9f8e7d6c5b4a"),
    ("client_secret: {}", "abcdefgh12345678"),
]
HARMLESS = [
    "the token count is 35 and the secret of success is patience",
    'max_tokens=4096, "tokens": 35, token = tokenizer.next(values)',
    "risk-assessment-for-the-next-quarter and task-aaaaaaaaaaaaaaaaaaaa",
    "A bearer instrument is payable to whoever holds it; password: required",
    "https://example.test:8080/path?key=value",
    "commit 0123456789abcdef0123456789abcdef01234567",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_of_the_common_shapes_are_taken_out(secret):
    text, count = Redactor().redact(f"before {secret}, after")
    assert text == f"before {REDACTED}, after"
    assert count == 1


@pytest.mark.parametrize(("form", "secret"), LABELLED)
def test_what_is_called_a_secret_is_taken_out(form, secret):
    text, count = Redactor().redact(form.format(secret))
    assert secret not in text
    assert text.startswith(form.split("{}")[0].format().rstrip("'\"\\")[:10])
    assert count >= 1


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays_as_it_is(text):
    assert Redactor().redact(text) == (text, 0)


def test_secrets_that_it_was_told_are_taken_out_in_every_form():
    redactor = Redactor(secrets=['pass"word/ü', "word/"])
    text, count = redactor.redact('as is pass"word/ü, json pass\\"word/\\u00fc, url pass%22word%2F%C3%BC')
    assert text == f"as is {REDACTED}, json {REDACTED}, url {REDACTED}"
    assert count == 3


def test_own_patterns_are_taken_out_and_may_match_nothing():
    text, count = Redactor(patterns=[r"EMP-\d+", r"x*"]).redact("EMP-123 and EMP-9")
    assert text == f"{REDACTED} and {REDACTED}"
    assert count >= 2


def test_undecodable_secrets_of_the_environment_are_taken_out_too():
    assert Redactor(secrets=["caf\udce9-secret"]).redact("a caf\udce9-secret b")[0] == f"a {REDACTED} b"


@given(st.text(), st.text())
def test_a_known_secret_never_survives(before, after):
    assert "correct-horse-battery" not in Redactor(["correct-horse-battery"]).redact(
        f"{before}correct-horse-battery{after}"
    )[0].replace(REDACTED, "")


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_no_part_of_a_key_survives_a_cut_of_a_long_text(before, after):
    key = "sk-ant-" + "K" * 60
    text, _ = Redactor().redact(" " * before + key + " " * after)
    assert "KKK" not in text


@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "password" * 12_000, "api_key=" * 12_000, "eyJ" + "a." * 50_000, "://" * 33_000, "bearer " * 14_000,
     "-----BEGIN PRIVATE KEY-----" * 3_600, 'authorization="' * 6_500, "cookie: " * 12_000, "token=" + "a" * 90_000],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_hostile_text_cannot_make_redaction_slow(text):
    """A quadratic pattern takes minutes here; one second is the bound, tested at three times that."""
    start = time.process_time()
    Redactor().redact(text)
    assert time.process_time() - start < 3


def cleaner(**changes):
    options = {"value_limit": 1000, "span_limit": 4000, "content": True, **changes}
    return Cleaner(Redactor(secrets=["hunter22"]), **options)


def test_attributes_named_like_secrets_lose_their_value():
    cleaning = cleaner().begin()
    clean = cleaning.attributes(
        {"http.request.header.authorization": "abc", "db.password": "x", "gen_ai.usage.input_tokens": 5}
    )
    assert clean == {
        "http.request.header.authorization": REDACTED,
        "db.password": REDACTED,
        "gen_ai.usage.input_tokens": 5,
    }
    assert cleaning.redacted == 2


def test_nested_values_are_redacted_too():
    nested = {"tool.parameters": {"list": ["hunter22", {"password": "x", "n": 1}]}, "list": ["a hunter22"]}
    assert cleaner().begin().attributes(nested) == {
        "tool.parameters": {"list": [REDACTED, {"password": REDACTED, "n": 1}]},
        "list": [f"a {REDACTED}"],
    }


def test_a_long_value_keeps_its_beginning_and_its_end():
    cleaning = cleaner().begin()
    (value,) = cleaning.attributes({"input.value": "BEGIN" + "x" * 10_000 + "END"}).values()
    assert value.startswith("BEGIN")
    assert value.endswith("END")
    assert len(value.encode()) <= 1000
    assert "9008 bytes cut" in value
    assert cleaning.truncated == 1


@given(st.text(min_size=900, max_size=2000))
def test_limits_are_in_bytes_and_never_break_a_character(text):
    (value,) = cleaner().begin().attributes({"input.value": text}).values()
    assert len(value.encode()) <= 1000


def test_a_span_keeps_its_facts_when_its_content_fills_the_bound():
    said = {f"llm.input_messages.{n}.content": "y" * 900 for n in range(20)}
    cleaning = cleaner().begin()
    clean = cleaning.attributes({**said, "gen_ai.request.model": "claude", "llm.model_name": "claude"})
    assert clean["llm.model_name"] == clean["gen_ai.request.model"] == "claude"
    assert cleaning.size <= 4000
    assert cleaning.truncated == 16


def test_without_content_only_facts_are_kept():
    cleaning = cleaner(content=False).begin()
    clean = cleaning.attributes({"input.value": "private", "exception.message": "private", "error.type": "ValueError"})
    assert clean == {"error.type": "ValueError"}
    assert cleaning.said("private") is None


def test_every_kind_of_value_becomes_plain_json():
    odd = {"nan": float("nan"), "bytes": b"abc", "surrogate": "a\ud800b", "object": object, "none": None}
    clean = cleaner().begin().attributes(odd)
    assert clean["nan"] == "nan"
    assert clean["bytes"] == "(3 bytes)"
    assert clean["surrogate"] == "a?b"
    assert "object" in clean["object"]
    deep = current = []
    for _ in range(50):
        current.append([])
        current = current[0]
    assert cleaner().begin().attributes({"deep": deep})


def test_a_short_text_is_searched_once_and_still_counted():
    rules = cleaner()
    sizes = []
    for _ in range(2):
        cleaning = rules.begin()
        cleaning.attributes({"llm.model_name": "claude"})
        sizes.append(cleaning.size)
    assert sizes == [6, 6]
