"""No container, and no interpreter, outlives its owner by more than a second, whatever ends that, and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import docker
import pytest

from sandbox import SandboxSettings
from sandbox.docker.detect import connect
from sandbox.docker.reaper import owner_labels, reap
from tests.promises import SLACK
from tests.sandbox.docker.owners import MOMENTS, gone, of_owner, opened
from tests.sandbox.leaks import is_running

PROMISED = 1.0  # seconds from the end of a process to that of its containers
_UNDER_GVISOR = """\
import json, sys, threading, time
from sandbox import DockerBackend, SandboxSettings
backend = DockerBackend(SandboxSettings(**json.loads(sys.argv[1]), warm=1))
box = backend.open()
box("x = 1")
while len(backend._pool._ready) < 1: time.sleep(0.05)
threading.Timer(0.3, print, ["now"], {"flush": True}).start()
box("while True: pass")
"""
# Process 1 gives its host up after a second of silence instead of ten.
_SHORTER = """\
import json
from sandbox.docker import box
boot = box.boot
def shorter(*given):
    sent = json.loads(boot(*given)[4:])
    modules = dict(sent["modules"])
    assert "_SILENCE = 10.0" in modules["supervisor"]
    modules["supervisor"] = modules["supervisor"].replace("_SILENCE = 10.0", "_SILENCE = 1.0")
    octets = json.dumps({**sent, "modules": list(modules.items())}).encode()
    return len(octets).to_bytes(4, "big") + octets
box.boot = shorter
"""


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


@pytest.mark.docker
@pytest.mark.parametrize("moment", MOMENTS)
def test_containers_of_a_killed_owner_are_gone_in_a_second(api, sandbox_image, moment):
    warm, rest = MOMENTS[moment]
    owner = subprocess.Popen(
        [sys.executable, "-c", opened(warm, rest), sandbox_image],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert owner.stdout.readline() == "now\n"
        assert of_owner(api, owner.pid)
        owner.kill()
        assert gone(lambda: of_owner(api, owner.pid), SLACK * PROMISED)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(owner.pid, 9)
        owner.wait()
        owner.stdout.close()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("silence", "shorter"),
    [(1, _SHORTER), pytest.param(10, "", marks=pytest.mark.exhaustive)],  # process 1 waits for ten seconds
)
def test_a_step_that_nobody_looks_after_ends_its_box_though_the_stream_stays_open(api, sandbox_image, silence, shorter):
    stopping = "box('1')\nsoon(lambda: os.kill(os.getpid(), signal.SIGSTOP))\nbox('while True: pass')"
    code = shorter + opened(0, stopping, step=1)
    owner = subprocess.Popen([sys.executable, "-c", code, sandbox_image], start_new_session=True)  # nobody wakes it
    try:
        _, status = os.waitpid(owner.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert of_owner(api, owner.pid, status="running")
        assert gone(lambda: of_owner(api, owner.pid, status="running"), SLACK * (1 + silence))
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.docker
@pytest.mark.parametrize("delay", [0.02, 0.06, 0.1, 0.16])
def test_an_owner_killed_while_containers_are_made_leaves_none_that_runs_and_the_next_process_removes_the_rest(
    api, sandbox_image, delay
):
    code = opened(4, "now()\ntime.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", code, sandbox_image], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "now\n"
    time.sleep(delay)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert gone(lambda: of_owner(api, owner.pid, status="running"), SLACK * PROMISED)
    # An engine that is busy makes what it was asked for when the owner is long dead: hence again and again.
    assert gone(lambda: reap(api, owner_labels()) or of_owner(api, owner.pid), 20)


@pytest.mark.gvisor
def test_containers_of_a_killed_owner_are_gone_in_a_second_under_gvisor(gvisor_settings):
    code = [sys.executable, "-c", _UNDER_GVISOR, json.dumps(dict(gvisor_settings))]
    owner = subprocess.Popen(code, stdout=subprocess.PIPE, text=True)
    with closing(connect(SandboxSettings(engine=gvisor_settings["engine"]))) as api:
        try:
            assert owner.stdout.readline() == "now\n"
            assert len(of_owner(api, owner.pid, status="running")) >= 2
            owner.kill()
            assert gone(lambda: of_owner(api, owner.pid, status="running"), SLACK * PROMISED)
        finally:
            owner.kill()
            owner.wait()
            owner.stdout.close()


def test_an_interpreter_of_a_killed_host_is_gone_in_a_second():
    code = (
        "import os, signal\n"
        "from sandbox import MontySandbox\n"
        "box = MontySandbox()\n"
        "box('1')\n"
        "print(box.worker_pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    pid = int(done.stdout)
    until = time.monotonic() + SLACK * PROMISED
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(pid)
