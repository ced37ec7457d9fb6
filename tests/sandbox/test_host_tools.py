"""What becomes of a host tool's error on its way into the code."""

import pytest

from sandbox import LimitExceeded, SessionLost, ValueRefused
from sandbox.errors import STATE_LOST
from sandbox.host_tools import raised_in_code


@pytest.mark.parametrize(
    ("error", "known", "raised"),
    [
        (ValueError("small"), None, ("ValueError", "small")),
        (ValueError("small"), {"Exception"}, ("Exception", "ValueError: small")),
        (ValueError("small"), {"TypeError"}, ("Exception", "ValueError: small")),
        (ValueRefused("a socket"), None, ("TypeError", "a socket")),
        (type("ValueError", (LookupError,), {})("of ours"), None, ("LookupError", "ValueError: of ours")),
        (KeyError("id"), None, ("KeyError", "id")),
        (ValueError("\ud800"), None, ("ValueError", "?")),
    ],
)
def test_an_error_becomes_the_nearest_type_that_the_sandbox_has(error, known, raised):
    assert raised_in_code(error, known) == raised


def test_a_lost_session_says_why_and_what_that_means():
    assert str(SessionLost("it died")) == f"it died. {STATE_LOST}."
    assert SessionLost("it died").state_lost


def test_the_end_of_time_says_the_limit_its_name_and_whether_state_is_lost():
    kept, lost = (LimitExceeded.of_time(2.5, state_lost=lost) for lost in (False, True))
    assert str(kept) == "TimeoutError: the step ran longer than 2.5 s (step_timeout)."
    assert str(lost) == f"{kept} {STATE_LOST}."
    assert (kept.state_lost, lost.state_lost) == (False, True)
