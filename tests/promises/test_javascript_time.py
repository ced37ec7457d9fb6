"""A step in JavaScript ends at its time, and a second later where its process must be ended."""

import time

import pytest

from sandbox import JavaScriptSandbox, LimitExceeded, SandboxSettings
from tests.promises import SLACK

STEP = 0.5  # seconds that a step has here
END = 1.0  # seconds from the end of a step's time to that of the process that ran it, if it doesn't heed

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def js(sandbox_image):
    settings = SandboxSettings(image=sandbox_image, warm=0)
    with JavaScriptSandbox(limits=settings) as box:
        yield box


@pytest.mark.parametrize(
    "code",
    [
        "while (true);",
        "const again = () => Promise.resolve().then(again); again(); await new Promise(() => {})",
        "/^(a+)+$/.test('a'.repeat(40) + 'b')",
        "while (true) console.log('x'.repeat(1000))",
        "require('child_process').spawnSync('sleep', ['100'])",
    ],
)
def test_a_step_ends_at_its_time_and_a_second_later_where_its_process_must_be_ended(js, code):
    js.start()
    began = time.monotonic()
    with js.within(STEP), pytest.raises(LimitExceeded, match="longer than 0.5 s") as caught:
        js(code)
    assert STEP / 2 < time.monotonic() - began < SLACK * (STEP + END * caught.value.state_lost)
    assert js("1").output == 1
