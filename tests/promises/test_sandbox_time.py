"""A step ends at its time, and a stop ends it within a second: for every backend, with the start of it not counted."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import Backend, CodeError, ExecutionStopped, LimitExceeded, Sandbox
from tests.promises import SLACK
from tests.sandbox.backends import docker_backend, gvisor_backend, leisurely, monty_backend

STOP = 1.0  # seconds from a stop signal to its exception
STEP = 1.0  # seconds that a step has here
END = 1.0  # seconds from the end of a step's time to that of the process that ran it, if it doesn't heed
LOOP = "while True: pass"
HEEDLESS = "try:\n    while True: pass\nexcept BaseException:\n    while True: pass"

pytestmark = pytest.mark.parametrize(
    "make",
    [
        pytest.param(docker_backend, id="docker", marks=pytest.mark.docker),
        pytest.param(gvisor_backend, id="gvisor", marks=pytest.mark.gvisor),
        pytest.param(monty_backend, id="monty"),
    ],
)


@pytest.fixture
def open_warm(make: Callable[..., Backend]) -> Iterator[Callable[..., Sandbox]]:
    """Open a sandbox whose container and process are there already."""
    with contextlib.ExitStack() as ended:

        def open_one(*, stop: threading.Event | None = None, **limits: Any) -> Sandbox:
            backend = make(**limits)
            ended.callback(backend.close)
            box = backend.open(stop=stop)
            with leisurely(box):
                box("1")
            return box

        yield open_one


@pytest.mark.parametrize("code", [LOOP, HEEDLESS, "sum(range(10 ** 15))"])
def test_a_step_ends_at_its_time_and_a_second_later_where_its_process_must_be_ended(open_warm, code):
    box = open_warm(step_timeout=STEP)
    began = time.monotonic()
    with pytest.raises(LimitExceeded, match="step_timeout") as caught:
        box(code)
    assert STEP / 2 < time.monotonic() - began < SLACK * (STEP + END * caught.value.state_lost)


def test_a_regular_expression_ends_within_the_steps_time(open_warm):
    box = open_warm(step_timeout=STEP)
    began, lost = time.monotonic(), False
    try:
        box("import re\nre.match('(a+)+$', 'a' * 50 + 'b')")
    except CodeError as error:
        lost = "gone" in str(error)
    assert time.monotonic() - began < SLACK * (STEP + END * lost)


@pytest.mark.parametrize("code", [HEEDLESS, "import time\ntime.sleep(25)"])
def test_a_stop_from_another_thread_ends_a_step_within_a_second(open_warm, code):
    stop, set_at = threading.Event(), []
    box = open_warm(stop=stop)
    timer = threading.Timer(0.3, lambda: (set_at.append(time.monotonic()), stop.set()))
    timer.start()
    with pytest.raises(ExecutionStopped):
        box(code)
    assert time.monotonic() - set_at[0] < SLACK * STOP
    timer.join()


def test_a_deadline_ends_a_step_within_a_second(open_warm):
    box = open_warm()
    box._deadline = deadline = time.monotonic() + 0.3
    with pytest.raises(ExecutionStopped, match="deadline"):
        box(LOOP)
    assert 0 <= time.monotonic() - deadline < SLACK * STOP


def test_ctrl_c_leaves_a_step_within_a_second(open_warm):
    box, sent_at = open_warm(), []
    timer = threading.Timer(0.3, lambda: (sent_at.append(time.monotonic()), os.kill(os.getpid(), signal.SIGINT)))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        box(LOOP)
    assert time.monotonic() - sent_at[0] < SLACK * STOP
    timer.join()
