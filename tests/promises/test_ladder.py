"""A step's time, in a real box: an interrupt at its end, a fresh worker a second later, no box five seconds later."""

import time

import pytest

from sandbox import DockerBackend, LimitExceeded, SandboxSettings
from tests.promises import SLACK

pytestmark = pytest.mark.docker

LIMIT = 0.5  # seconds of a step
TO_KILL, TO_REMOVE = 1.0, 5.0  # seconds on top
DEAF = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass"


@pytest.fixture
def box(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=LIMIT))
    with backend.open() as box:
        yield box
    backend.close()


def test_code_that_heeds_the_interrupt_ends_by_its_time(box):
    assert seconds(box, "while True: pass") < SLACK * (LIMIT + TO_KILL)
    assert box("1 + 1").output == 2


def test_code_that_heeds_nothing_ends_a_second_later_with_its_variables(box):
    box("kept = 1")
    assert seconds(box, DEAF) < SLACK * (LIMIT + TO_KILL)
    assert box("'kept' in globals()").output is False


def test_a_box_that_hangs_is_removed_five_seconds_later(box):
    box("kept = 1")
    box._boxes._api.pause(box.container)
    assert seconds(box, "1") < SLACK * (LIMIT + TO_KILL + TO_REMOVE)
    assert box("'kept' in globals()").output is False


def seconds(box, code):
    """How long a step took that ran out of its time."""
    started = time.monotonic()
    with pytest.raises(LimitExceeded, match="step_timeout"):
        box(code)
    return time.monotonic() - started
