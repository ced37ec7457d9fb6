"""Who calls: an event loop, several threads, a forked child. For every backend."""

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from functools import cache

import pytest
from smolagents import tool

from sandbox import SandboxClosed, SandboxError
from tests.sandbox.agents import Script, agent


def test_an_event_loop_goes_on_while_an_agent_runs_in_a_thread(open_box):
    entered, heard_of = threading.Event(), threading.Event()

    @tool
    def wait_for_the_loop() -> bool:
        """Says whether the loop came round while the code waited."""
        entered.set()
        return heard_of.wait(60)

    worker = agent(open_box(), Script("final_answer(wait_for_the_loop())"), tools=[wait_for_the_loop])

    async def main():
        run = asyncio.ensure_future(asyncio.to_thread(worker.run, "wait"))
        while not entered.is_set() and not run.done():
            await asyncio.sleep(0.01)
        heard_of.set()
        return await run

    assert asyncio.run(main()) is True


def test_agents_of_one_loop_run_side_by_side(make_backend):
    backend, meeting = make_backend(), threading.Barrier(3)

    def work(number):
        with backend.open() as box:
            box.send_tools({"meet": lambda: meeting.wait(30) and None})
            return box(f"meet()\n{number} * 2").output

    async def main():
        return await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(3)))

    assert asyncio.run(main()) == [0, 2, 4]


def test_a_loop_that_wants_no_more_ends_the_step_with_cleanup(open_box):
    entered = threading.Event()
    box = open_box({"entered": entered.set})

    async def main():
        step = asyncio.ensure_future(asyncio.to_thread(box, "entered()\nwhile True: pass"))
        assert await asyncio.to_thread(entered.wait, 20)
        await asyncio.to_thread(box.cleanup)
        await step

    with pytest.raises(SandboxClosed):  # the step alone would end with its time
        asyncio.run(main())


def test_a_second_thread_gets_a_clear_error_and_may_go_on_later(open_box):
    entered, leave, refused = threading.Event(), threading.Event(), []
    box = open_box({"tool": lambda: (entered.set(), leave.wait(30))[1]})

    def second():
        assert entered.wait(20)
        try:
            box("x = 2")
        except SandboxError as error:
            refused.append(str(error))
        finally:
            leave.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert box("x = 1\ntool()").output is True
    thread.join()
    assert refused == ["this sandbox is running code already; open one sandbox for each agent"]
    later = []
    thread = threading.Thread(target=lambda: later.append(box("x").output))
    thread.start()
    thread.join()
    assert later == [1]


FORK = """\
import gc, os, sys, threading, traceback
from sandbox import BackendLost, SandboxSettings, SandboxUnavailable
from tests.sandbox.backends import {make} as make

def used(box):
    '''Try all that a child may try of its parent's sandbox.'''
    for use in (lambda: box("x = 'child'"), box.list_files, lambda: box.get_file("a"), lambda: box.put_file("a", b"")):
        try:
            use()
        except (BackendLost, SandboxUnavailable) as refused:
            assert "forked" in str(refused), refused
        else:
            raise AssertionError("not refused")
    with box:
        pass

def forked(work, leave):
    child = os.fork()
    if child == 0:
        work()
        leave(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == 0, code

def played(scene):
    names = {{**globals(), "backend": make()}}
    names["box"] = box = names["backend"].open()
    box.put_file("a", b"parent")
    box("x = 'parent'")
    del box  # a child is to be able to let go of it
    exec(scene, names)
    assert names["box"]("x").output == "parent"
    assert names["box"].get_file("a") == b"parent"
    names["backend"].close()

parent = os.getpid()
for name, scene in {scenes}.items():
    try:
        played(scene)
    except Exception:
        if os.getpid() != parent:
            raise
        traceback.print_exc()
    else:
        print(name, flush=True)
"""
SCENES = {
    "that uses and closes it": "forked(lambda: used(box), os._exit)",
    "that ends as a program does": "forked(lambda: used(box), sys.exit)",
    "that lets go of it": """
        def dropped():
            global box, backend
            del box, backend
            gc.collect()
        forked(dropped, sys.exit)
        """,
    "that was forked by a tool": """
        box.send_tools({"tool": lambda: forked(lambda: used(box), os._exit)})
        box("tool()")
        """,
    "that was forked while another thread ran a step": """
        entered, leave = threading.Event(), threading.Event()
        box.send_tools({"tool": lambda: (entered.set(), leave.wait(20)) and None})
        thread = threading.Thread(target=box, args=("tool()",))
        thread.start()
        entered.wait(20)
        forked(lambda: used(box), os._exit)
        leave.set()
        thread.join()
        """,
    "that goes on with its parent's step": """
        child = []
        box.send_tools({"tool": lambda: child.append(os.fork())})
        try:
            box("tool()")
        except BackendLost as lost:
            os._exit(0 if child == [0] and "forked" in str(lost) else 5)
        assert os.waitstatus_to_exitcode(os.waitpid(child[0], 0)[1]) == 0
        """,
}


@pytest.fixture(scope="module")
def unharmed():
    """The scenes after which a backend's session was as before, each played once: all in one process a backend."""

    @cache
    def played(make):
        scenes = {name: textwrap.dedent(scene) for name, scene in SCENES.items()}
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK.format(make=make, scenes=scenes)],
            capture_output=True, text=True, timeout=250, check=False, cwd=os.getcwd(),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        return done.stdout.splitlines(), done.stderr

    return played


@pytest.mark.parametrize("make", [pytest.param("docker_backend", marks=pytest.mark.docker), "monty_backend"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_session_is_unharmed_by_a_child(unharmed, make, scene):
    scenes, errors = unharmed(make)
    assert scene in scenes, errors
    assert len(scenes) == len(set(scenes)), "a child went on as if it were its parent"
