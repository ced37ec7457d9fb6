"""Calls that are still open when their step ends, threads that call, and a worker that isn't one: nothing leaks on."""

import threading
import time
from contextlib import suppress

import pytest

from sandbox import CodeError, DockerBackend, LimitExceeded, SandboxSettings
from tests.sandbox.docker.patience import unhurried, wait_for_news

pytestmark = pytest.mark.docker

FORGE = """\
import os, json, time
calls = next(cell.cell_contents for cell in echo.__closure__ if hasattr(cell.cell_contents, '_step'))
def send(kind, said):
    octets = json.dumps(said).encode()
    os.write(3, len(octets).to_bytes(4, 'big') + kind + octets)
"""
IMPOSTOR = """\
import json, os
while True:
    size = int.from_bytes(os.read(3, 5)[:4], 'big')
    step = json.loads(os.read(3, size))
    octets = json.dumps({'id': step['id'], 'value': 'of an impostor'}).encode()
    os.write(3, len(octets).to_bytes(4, 'big') + b'd' + octets)
"""


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=2))
    yield backend
    backend.close()


@pytest.fixture
def box(backend):
    with backend.open() as box:
        yield box


def test_a_call_of_another_thread_is_settled_before_its_step_ends(box):
    served = []
    box.send_tools({"slow": lambda: (time.sleep(0.05), served.append(1))[1], "echo": lambda value: value})
    for delay in (0, 0.0005, 0.001, 0.003) * 3:
        code = f"import threading, time\nthreading.Thread(target=slow).start()\ntime.sleep({delay})\n'ended'"
        assert box(code).output == "ended"
        assert box("echo(2)").output == 2
    assert len(served) == 12


def test_a_thread_that_calls_in_a_loop_neither_keeps_a_step_from_ending_nor_the_next_from_working(box):
    box.send_tools({"echo": lambda value: value})
    box("import threading\ngoing = True\ndef many():\n    while going: echo(1)")
    assert box("threading.Thread(target=many, daemon=True).start()\n'ended'").output == "ended"
    assert [box(f"echo({number})").output for number in range(5)] == list(range(5))
    assert box("going = False").output is None


def test_ten_threads_get_their_own_answers(box):
    box.send_tools({"echo": lambda value: value})
    box("import threading\ngot = {}\ndef ask(n):\n    for turn in range(5): got[n, turn] = echo((n, turn))")
    box("threads = [threading.Thread(target=ask, args=(n,)) for n in range(10)]\nfor each in threads: each.start()")
    box("for each in threads: each.join()")
    assert box("len(got) == 50 and all(key == value for key, value in got.items())").output is True


def test_a_thread_that_waits_for_a_tool_does_not_swallow_the_interrupt_of_its_step(box):
    asked = threading.Event()
    box.send_tools({"slow": lambda: (asked.set(), time.sleep(0.02))[1]})
    # It pauses, as a step's time stands still in a call: without that, a quick machine makes too many calls within it.
    many = "import threading, time\ndef many():\n    while True:\n        slow()\n        time.sleep(0.005)\n"
    code = f"{many}threading.Thread(target=many, daemon=True).start()"
    with unhurried(), pytest.raises(LimitExceeded, match="step_timeout") as caught:
        box(f"kept = 1\n{code}\nwhile True: pass")
    assert asked.is_set()
    assert not caught.value.state_lost
    assert box("kept").output == 1


def test_a_final_answer_while_threads_call_is_the_step_s_end(box):
    box.send_tools({"echo": lambda value: value, "final_answer": lambda answer: answer})
    code = "import threading\ndef many():\n    while True: echo(1)\nthreading.Thread(target=many, daemon=True).start()"
    result = box(f"{code}\nfinal_answer(7)")
    assert (result.output, result.is_final_answer) == (7, True)
    assert box("echo(2)").output == 2


def test_a_step_that_forges_its_own_end_gains_nothing_and_the_next_one_is_told(box):
    box.send_tools({"echo": lambda value: value})
    forged = FORGE + "send(b'd', {'id': calls._step, 'value': 'forged'})\nwhile True: pass"
    assert box(forged).output == "forged"
    with pytest.raises(CodeError, match="gone"):
        box("1")
    assert box("echo(3)").output == 3


def test_an_impostor_in_the_worker_s_place_is_believed_no_more_than_the_worker(box):
    # Whoever speaks for the code may say what the code could have said, and nothing else: no defence tells them apart.
    box.send_tools({"echo": lambda value: value})
    code = f"{FORGE}import sys\nos.set_inheritable(3, True)\nsend(b'd', {{'id': calls._step, 'value': None}})\n"
    box(f"{code}os.execv(sys.executable, ['python3', '-c', {IMPOSTOR!r}])")
    with suppress(CodeError):
        assert box("6 * 7").output in ("of an impostor", 42)
    box.cleanup()


def test_the_host_s_answer_to_a_worker_that_died_meanwhile_reaches_no_other(box):
    box.send_tools({"die": lambda: kill_the_worker(box), "echo": lambda value: value})
    with pytest.raises(CodeError, match="gone"):
        box("die()")
    for number in range(5):
        assert box(f"echo({number})").output == number


def kill_the_worker(box):
    api = box._boxes._api
    made = api.exec_create(box.container, ["sh", "-c", "kill -9 $(cat /proc/1/task/1/children)"])
    api.exec_start(made["Id"])
    wait_for_news(box._box)
