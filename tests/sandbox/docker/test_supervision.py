"""What process 1 is woken by, and how one line of code is read."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from sandbox import CodeError
from sandbox.docker.guest.isolation import ignore_stops

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the guest runs on Linux")


@pytest.fixture
def told():
    """The signals about children that came."""
    came: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: came.append(number))
    yield came
    signal.signal(signal.SIGCHLD, before)


def stopped_continued_and_ended(told: list[int]) -> list[int]:
    """How many signals had come after each of the three."""
    counts = []
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(1)
    for number, options in ((signal.SIGSTOP, os.WUNTRACED), (signal.SIGCONT, os.WCONTINUED), (signal.SIGKILL, 0)):
        os.kill(child, number)
        os.waitpid(child, options)
        counts.append(len(told))
    return counts


def test_a_stop_is_told_by_default(told):
    assert stopped_continued_and_ended(told)[1] > 0


def test_only_an_end_is_told_where_stops_are_ignored(told):
    ignore_stops(signal.SIGCHLD)
    assert stopped_continued_and_ended(told) == [0, 0, 1]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", 2),
        ("(x := 5) + 1", 6),
        ("x", 5),
        ("x = 7", None),
        ("x; x + 1", 6),
        ("import math; math.floor(2.5)", 2),
        ("[n for n in range(3)]  # a comment", [0, 1, 2]),
        ("\n\n3", 3),
        ("3\r4", 4),
        ("", None),
        ("# nothing", None),
    ],
)
def test_the_value_of_a_line_is_that_of_its_last_expression(box, code, value):
    box("x = 5")
    assert box(code).output == value


@pytest.mark.docker
@pytest.mark.parametrize(
    ("code", "error"),
    [(" 1", "IndentationError"), ("x = ", "SyntaxError"), ("1 +", "SyntaxError"), ("return 1", "SyntaxError")],
)
def test_what_is_no_line_of_python_is_said_as_ever(box, code, error):
    with pytest.raises(CodeError, match=error) as raised:
        box(code)
    assert raised.value.line == 1


@pytest.fixture(scope="module")
def box(sandbox_image):
    from sandbox import DockerSandbox

    with DockerSandbox(image=sandbox_image) as box:
        yield box
