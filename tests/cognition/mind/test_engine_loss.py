"""A whole run whose Docker engine goes away while it thinks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cognition import Mind, SandboxUnavailable
from sandbox import SandboxSettings
from sandbox.docker.detect import connect
from tests.sandbox.docker.own_engine import IMAGE, OwnEngine, own_engine
from tests.support.scripted_model import ScriptedModel, code

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(docker_engine: str, sandbox_image: str) -> Iterator[OwnEngine]:
    with own_engine(docker_engine, sandbox_image) as engine:
        yield engine


def test_it_ends_the_run_with_what_to_do_and_no_model_hears_of_it(engine, tmp_path):
    asked = []

    def play(request):
        asked.append(str(request))
        if len(asked) == 2:
            engine.stop()
        return code("print('going on')")

    settings = {
        "memory": f"sqlite:///{tmp_path / 'm.db'}",
        "trace": {"path": tmp_path / "t.db"},
        "sandbox": {"backend": "docker", "engine": engine.address, "image": IMAGE},
    }
    with (
        Mind(tiers={"s": ScriptedModel(play)}, tier="s", **settings) as mind,
        pytest.raises(SandboxUnavailable, match="Docker engine") as lost,
    ):
        mind.think("go on")
    assert "start it" in str(lost.value)
    assert not any("docker.sock" in request for request in asked)


LOOPING = """
import sys
from cognition import Cancelled, Mind
sys.path.insert(0, sys.argv[3])
from tests.support.scripted_model import ScriptedModel, calls, code, layer_of
def play(request):
    if layer_of(request) == "perceptual":
        return calls(("final_answer", {"answer": {"answer": "what was seen"}}))
    print("looping", flush=True)
    return code("import signal\\nsignal.signal(2, signal.SIG_IGN)\\nwhile True:\\n    pass")
home = sys.argv[1]
with Mind(tiers={"s": ScriptedModel(play)}, tier="s", sandbox={"backend": "docker", "image": sys.argv[2]},
          memory=f"sqlite:///{home}/m.db", trace={"path": f"{home}/t.db"}) as mind:
    try:
        mind.think("loop")
    except Cancelled as cancelled:
        print("cancelled with:", cancelled.partial.answer, flush=True)
"""


def test_ctrl_c_in_a_step_of_a_container_shows_what_there_is_and_leaves_no_container(
    docker_engine, sandbox_image, tmp_path
):
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", LOOPING, str(tmp_path), sandbox_image, str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
        start_new_session=True,
    )
    assert process.stdout.readline().strip() == "looping"
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    out, err = process.communicate(timeout=60)
    assert "cancelled with: what was seen" in out, err
    assert "Traceback" not in err
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        until = time.monotonic() + 10
        while of_owner(api, process.pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert of_owner(api, process.pid) == []


def of_owner(api, pid: int) -> list[str]:
    found = api.containers(all=True, filters={"label": f"dionysus.sandbox.pid={pid}"})
    return [each["Id"] for each in found]
