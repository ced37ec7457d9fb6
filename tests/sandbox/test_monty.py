"""What is monty's own: its subset of Python as told to agents, its processes and their death."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox import BackendLost, CodeError, Limits, SandboxClosed, SandboxSettings, SandboxUnavailable, SessionLost
from sandbox.monty import MontyBackend, MontySandbox
from sandbox.monty.subset import ABSENT_MODULES, GUIDANCE, MISSING, MODULES, WORKS
from tests.sandbox.leaks import children
from tests.sandbox.moments import soon_after


@pytest.fixture
def box():
    with MontySandbox(limits=Limits(step_timeout=5)) as box:
        box.send_tools({"final_answer": lambda answer: answer})
        yield box


@pytest.mark.parametrize("module", MODULES)
def test_every_module_the_guidance_lists_can_be_imported(box, module):
    assert box(f"import {module}\n1").output == 1
    assert module in GUIDANCE


@pytest.mark.parametrize("module", ABSENT_MODULES)
def test_every_module_the_guidance_calls_absent_is_absent(box, module):
    with pytest.raises(CodeError, match=f"ModuleNotFoundError: No module named '{module}'"):
        box(f"import {module}")
    assert f"no {module}" in GUIDANCE


def test_no_other_module_of_the_standard_library_can_be_imported(box):
    listed = {*MODULES, "posixpath"}
    for module in sorted(sys.stdlib_module_names - listed):
        with pytest.raises(CodeError):
            box(f"import {module}")


@pytest.mark.parametrize("feature", WORKS)
def test_every_feature_the_guidance_promises_works(box, feature):
    code, expected = WORKS[feature]
    assert box(code).output == expected
    assert feature in GUIDANCE


@pytest.mark.parametrize("feature", MISSING)
def test_every_feature_the_guidance_calls_missing_is_missing(box, feature):
    with pytest.raises(CodeError):
        box(MISSING[feature])
    assert feature in GUIDANCE


@pytest.mark.parametrize(
    "name", ["globals()", "vars()", "dir()", "callable(1)", "issubclass(int, int)", "input()", "bytearray()"]
)
def test_the_builtins_the_guidance_calls_missing_are_missing(box, name):
    with pytest.raises(CodeError, match="NameError"):
        box(name)


def test_the_page_tells_the_user_what_the_guidance_tells_the_model():
    page = (Path(__file__).parents[2] / "docs/sandbox.md").read_text()
    told = " ".join(page.partition("## The embedded interpreter")[2].partition("## ")[0].split())
    for name in (*MODULES, *MISSING):
        assert name in told


def test_a_worker_killed_between_steps_is_replaced_and_the_agent_is_told(box):
    box.send_variables({"given": 1})
    box("x = 1")
    os.kill(box.worker_pid, signal.SIGKILL)
    with pytest.raises(SessionLost, match="gone") as caught:
        box("x")
    assert caught.value.state_lost
    assert box("given + 1").output == 2


def test_a_worker_killed_in_the_middle_of_a_step_is_replaced(box):
    entered = threading.Event()
    box.send_tools({"entered": entered.set})
    box("x = 1")
    killer = soon_after(entered, lambda: os.kill(box.worker_pid, signal.SIGKILL))
    with pytest.raises(SessionLost, match="variables"):
        box("entered()\nwhile True: pass")
    killer.join()
    assert box("1 + 1").output == 2


def test_a_worker_killed_while_a_tool_runs_is_replaced(box):
    box.send_tools({"kill": lambda: os.kill(box.worker_pid, signal.SIGKILL)})
    with pytest.raises(SessionLost):
        box("kill()\n1")
    assert box("2").output == 2


def test_a_worker_killed_after_a_final_answer_is_replaced_and_the_agent_is_told(box):
    assert box("final_answer(1)").is_final_answer
    os.kill(box.worker_pid, signal.SIGKILL)
    result = box("2")
    assert result.output == 2
    assert "gone" in result.logs


def test_a_fresh_process_serves_every_sandbox():
    backend = MontyBackend(SandboxSettings())
    try:
        pids = []
        for _ in range(3):
            with backend.open() as box:
                box("1")
                pids.append(box.worker_pid)
        assert len(set(pids)) == 3
    finally:
        backend.close()


def test_no_process_is_made_before_the_first_step():
    before = children()
    with MontySandbox() as box:
        assert children() <= before
        box("1")
        assert box.worker_pid in children()
    assert box.worker_pid is None


def test_a_sandbox_alone_ends_its_own_pool():
    before = children()
    box = MontySandbox()
    box("1")
    box.cleanup()
    until = time.monotonic() + 10  # it is killed at once, and gone when the kernel comes to it
    while not children() <= before and time.monotonic() < until:
        time.sleep(0.02)
    assert children() <= before
    with pytest.raises(SandboxClosed):
        box("1")


def test_an_interpreter_that_cannot_be_started_is_unavailable(monkeypatch):
    monkeypatch.setenv("MONTY_BIN", "/nowhere/monty")
    with MontySandbox() as box:
        with pytest.raises(BackendLost, match="monty") as caught:
            box("1")
        assert isinstance(caught.value.__cause__, SandboxUnavailable)
        assert not isinstance(caught.value, Exception)


FORKED = """
import os, sys
from sandbox import BackendLost, SandboxUnavailable
from sandbox.monty import MontyBackend, MontySandbox

def tell_of_a_child():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    for opened in (backend.open, MontySandbox, MontyBackend().open):
        try:
            print(opened()("2 + 2").output)
        except (BackendLost, SandboxUnavailable) as error:
            print("spawn or forkserver" if "spawn or forkserver" in str(error) else error)
    sys.stdout.flush()
    os._exit(0)

backend = MontyBackend()
tell_of_a_child()
with backend.open() as box:
    print(box("1 + 1").output, flush=True)
tell_of_a_child()
with MontySandbox() as box:
    print(box("3 + 3").output)
"""


def test_a_forked_child_works_or_says_at_once_that_monty_stayed_behind():
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=250, check=True, cwd=os.getcwd()
    )
    behind = "spawn or forkserver"
    assert done.stdout.splitlines() == ["4", "4", "4", "2", behind, behind, behind, "6"]
