"""Secret values, hidden in text, in values and in errors with their causes."""

import base64
import traceback

import pytest

from observability import Secrets

SECRET = 'pä"ss\\wo/rd@1'


@pytest.mark.parametrize(
    "text", [SECRET, f"{{'a': {SECRET!r}}}", '"p\\u00e4\\"ss\\\\wo/rd@1"', "x?key=p%C3%A4%22ss%5Cwo%2Frd%401&y"]
)
def test_a_secret_is_hidden_in_every_form_it_takes(text):
    assert "ss" not in Secrets([SECRET]).hide(text).replace("[redacted]", "")


@pytest.mark.parametrize("around", [b"", b"u:", b"user:", b"me:", b'{"key": "', b"\xff\xfe"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, lambda raw: raw.hex().encode()])
def test_a_secret_is_hidden_in_what_programs_make_of_it(encode, around):
    secret = "sk-0123456789?>abcdef"
    text = encode(around + secret.encode() + around).decode()
    hidden = Secrets([secret]).hide(f"Authorization: Basic {text}")
    assert "[redacted]" in hidden
    assert len(hidden.split()[-1].replace("[redacted]", "")) <= len(text) - len(secret)


def test_base64_of_short_secrets_takes_no_other_words_with_it():
    assert Secrets(["secret"]).hide(base64.b64encode(b"secret").decode()) == "c2VjcmV0"


def test_a_secret_that_holds_another_one_leaves_nothing_of_itself():
    assert Secrets(["abcdef", "abcdefghi"]).hide("abcdefghi abcdef") == "[redacted] [redacted]"


def test_values_keep_their_shape_and_what_is_no_text_stays():
    value = {"a": [("x abcdef", 1, None)], "abcdef": {"deep": True}}
    assert Secrets(["abcdef"]).hide_in(value) == {"a": [("x [redacted]", 1, None)], "[redacted]": {"deep": True}}
    assert Secrets().hide_in(value) is value


class _Rude(Exception):
    def __str__(self):
        return "always abcdef"


class _Wordy(Exception):
    def __init__(self, message):
        self.message = message
        super().__init__()

    def __str__(self):
        return self.message


@pytest.mark.parametrize(
    "cause", [ValueError("abcdef", {"k": "abcdef"}), KeyError("abcdef"), _Wordy("abcdef"), _Rude()]
)
def test_an_error_and_its_causes_tell_no_secret(cause):
    try:
        try:
            raise cause
        except Exception as error:
            raise RuntimeError(f"failed with {error}") from error
    except RuntimeError as error:
        Secrets(["abcdef"]).scrub(error)
        told = "".join(traceback.format_exception(error)).replace('"abcdef"', "")  # the source line itself
        assert "failed with" in str(error)
        assert "abcdef" not in str(error)
        assert "abcdef" not in str(error.__cause__)
        assert f": {cause!s}" in told or isinstance(cause, _Rude)


def test_errors_that_are_each_others_cause_end():
    one, other = ValueError("abcdef"), ValueError("abcdef")
    one.__cause__, other.__cause__ = other, one
    Secrets(["abcdef"]).scrub(one)
    assert (str(one), str(other)) == ("[redacted]", "[redacted]")
