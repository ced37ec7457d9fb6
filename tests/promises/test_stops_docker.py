"""A cancel and a deadline end a run within a second while its code is in a container, or on its way into one."""

from __future__ import annotations

import threading
import time

import docker
import pytest

from cognition import Cancelled, DeadlineExceeded
from sandbox.docker.reaper import LABEL, owner_labels
from tests.promises import SLACK
from tests.sandbox.leaks import IDLE, assert_settled, usage
from tests.support.scripted_model import ScriptedModel, code, layer_of, report

pytestmark = pytest.mark.docker
PROMISED = 1.0
BEGUN = "begun()\n"
LAYERS = {name: {"enabled": False} for name in ("perceptual", "abstract", "metacognitive")}

STATES = {
    "a loop": BEGUN + "while True:\n    pass",
    "a loop that catches everything": BEGUN + "while True:\n    try:\n        while True: pass\n    except: pass",
    "an operation in C": BEGUN + "sum(range(10**15))",
    "a sleep": BEGUN + "import time\ntime.sleep(600)",
    "a process of its own": BEGUN + "import subprocess\nsubprocess.run(['sleep', '600'])",
    "threads of its own": BEGUN
    + "import threading\nfor _ in range(4): threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n"
    "while True: pass",
    "a place among the containers": BEGUN + "r = conception(task='x')",
}


@pytest.fixture(scope="module")
def stage(make_mind, sandbox_image):
    """A mind with one container at most, the code of its manager, and whether that runs."""

    class Stage:
        text = "pass"
        reached = threading.Event()

    def begun() -> str:
        """Tell that the code runs."""
        Stage.reached.set()
        return ""

    def play(request):
        return code(Stage.text) if layer_of(request) == "consciousness" else report("fine")

    sandbox = {"backend": "docker", "image": sandbox_image, "max_sessions": 1, "warm": 0, "open_timeout": 100}
    with make_mind(
        tiers={"scripted": ScriptedModel(play)}, tier="scripted", layers=LAYERS, sandbox=sandbox, tools=[begun]
    ) as Stage.mind:
        Stage.text = "final_answer({'answer': 'warm'})"
        Stage.mind.think("warm up")
        Stage.reached.clear()
        yield Stage
        Stage.mind.close()
        assert containers() == set()


def containers():
    """Ids of this process's containers."""
    own = [f"{key}={value}" for key, value in owner_labels().items() if not key.endswith("expires")]
    client = docker.from_env()
    try:
        # The list alone: to ask for each would fail where one is removed meanwhile.
        return {each["Id"] for each in client.api.containers(all=True, filters={"label": [LABEL, *own]})}
    finally:
        client.close()


def assert_no_container():
    until = time.monotonic() + 15
    while containers() and time.monotonic() < until:
        time.sleep(0.1)
    assert containers() == set()


@pytest.fixture(params=STATES.values(), ids=STATES.keys())
def held(request, stage):
    assert_no_container()
    stage.text = request.param
    stage.reached.clear()
    return stage


def test_a_cancel_ends_it_and_leaves_no_container(held):
    before = usage()
    thinking = held.mind.start("go")
    assert held.reached.wait(60)
    time.sleep(0.3)
    began = time.monotonic()
    thinking.cancel()
    with pytest.raises(Cancelled):
        thinking.result()
    assert time.monotonic() - began < SLACK * PROMISED
    assert_no_container()
    assert_settled(before, spare=IDLE)


def test_a_deadline_ends_it_and_leaves_no_container(held):
    deadline = 3.0
    while True:  # a machine that is busy may not get there in time
        held.reached.clear()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            held.mind.think("go", deadline=deadline)
        assert time.monotonic() - began < deadline + SLACK * PROMISED
        assert_no_container()
        if held.reached.is_set():
            return
        deadline *= 2
        assert deadline < 60


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3])
def test_a_cancel_while_the_container_starts_leaves_none(stage, after):
    assert_no_container()
    stage.text = "while True: pass"
    thinking = stage.mind.start("go")
    for event in thinking.events():
        if event.kind == "model_call":
            break  # the code comes next, and its container with it
    time.sleep(after)
    began = time.monotonic()
    thinking.cancel()
    with pytest.raises(Cancelled):
        thinking.result()
    assert time.monotonic() - began < SLACK * PROMISED
    assert_no_container()
