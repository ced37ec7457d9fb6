"""Limits hold against code that means harm, a stop ends it, and the next step always works.

How soon is promised too, and measured in `tests/promises/test_sandbox_time.py`.
"""

import contextlib
import os
import signal
import threading
import time

import pytest

from sandbox import CodeError, ExecutionStopped, LimitExceeded, SandboxClosed
from tests.sandbox.backends import leisurely
from tests.sandbox.moments import soon_after

BRIEF = 0.5  # seconds of a step that is to run out of them
MiB = 1024 * 1024


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "while True:\n    try:\n        1 / 0\n    except:\n        pass",
        "try:\n    while True: pass\nexcept BaseException:\n    while True: pass",
        "sum(range(10 ** 15))",
        "def f():\n    while True: pass\nf()",
        "while True: print('x' * 1000)",
        "while True:\n    with open('f', 'w') as f: f.write('x')",
    ],
)
def test_code_that_never_ends_is_ended_and_says_so(open_box, code):
    box = open_box(step_timeout=BRIEF)
    with leisurely(box):
        box("1")
    with pytest.raises(LimitExceeded, match="step_timeout") as caught:
        box(code)
    assert caught.value.state_lost == ("gone" in str(caught.value))
    with leisurely(box):
        assert box("1 + 1").output == 2


def test_lost_state_is_really_gone_and_what_the_host_sent_is_there_again(open_box):
    box = open_box({"tool": lambda: 5}, step_timeout=BRIEF, files={"a.txt": b"kept"})
    box.send_variables({"given": 1})
    with leisurely(box):
        box("given = 2\nmine = 3")
    with pytest.raises(LimitExceeded) as caught:
        box("while True: pass")
    with leisurely(box):
        if caught.value.state_lost:
            assert box("given").output == 1
            with pytest.raises(CodeError, match="NameError"):
                box("mine")
        assert box("tool()").output == 5
        assert box.get_file("a.txt") == b"kept"


def test_time_in_a_tool_is_not_charged_to_the_step(open_box):
    box = open_box({"slow": lambda: time.sleep(1.1)}, step_timeout=1)
    assert box("slow()\nslow()\n'done'").output == "done"


def test_sleep_is_charged_to_the_step(open_box):
    box = open_box(step_timeout=BRIEF)
    with leisurely(box):
        box("import time\ntime.sleep(0.1)")
    for asleep in ("while True: time.sleep(0.2)", "import time\ntime.sleep(1e9)"):
        with pytest.raises(LimitExceeded, match="step_timeout"):
            box(asleep)


@pytest.mark.parametrize(
    "code",
    [
        "a = []\nwhile True: a.append('x' * 100000)",
        "a = 'x'\nwhile True: a += a",
        "[0] * 10 ** 10",
        "'x' * 10 ** 11",
        "d = {}\ni = 0\nwhile True:\n    d[i] = str(i) * 1000\n    i += 1",
        "list(range(10 ** 11))",
        "try:\n    a = [0] * 10 ** 10\nexcept BaseException:\n    a = [0] * 10 ** 10",
    ],
)
def test_a_memory_bomb_is_ended_and_the_next_step_works(open_box, code):
    box = open_box(memory=64 * MiB, step_timeout=10)
    with pytest.raises(CodeError):
        box(code)
    assert box("b = [1] * 1000\nlen(b)").output == 1000


def test_a_number_that_takes_more_time_than_memory_is_ended_too(open_box):
    box = open_box(memory=64 * MiB, step_timeout=1)
    with pytest.raises(CodeError):
        box("10 ** 10 ** 9")
    with leisurely(box):
        assert box("b = [1] * 1000\nlen(b)").output == 1000


@pytest.mark.parametrize(
    "code",
    [
        "def f(): return f()\nf()",
        "f = lambda x: f(x)\nf(1)",
        "def a(n): return b(n)\ndef b(n): return a(n)\na(1)",
        "(" * 5000 + ")" * 5000,
        "[" * 100000 + "]" * 100000,
        "-" * 100000 + "1",
        "x = 1" + " + 1" * 200000,
        "eval('(' * 5000 + ')' * 5000)",
    ],
    ids=lambda code: code[:20],
)
def test_a_recursion_bomb_is_an_error_and_the_next_step_works(open_box, code):
    box = open_box(step_timeout=5)
    with contextlib.suppress(CodeError):
        box(code)
    assert box("1 + 1").output == 2


@pytest.mark.parametrize(
    "code", ["re.match('(a+)+$', 'a' * 50 + 'b')", "re.match('(a|a)*$', 'a' * 5000 + 'b')", "re.compile('(' * 5000)"]
)
def test_a_regex_bomb_ends_and_the_next_step_works(open_box, code):
    box = open_box(step_timeout=BRIEF)
    with leisurely(box):
        box("1")
    with contextlib.suppress(CodeError):
        box(f"import re\n{code}")
    with leisurely(box):
        assert box("1").output == 1


def test_printed_output_is_cut_and_the_rest_is_counted(open_box):
    box = open_box(output_limit=1000)
    result = box("for _ in range(1000): print('x' * 99)")
    assert result.logs.startswith("x" * 99 + "\n")
    assert result.logs.endswith("… 99,000 more bytes were not kept")
    assert box("print('fresh')").logs == "fresh\n"


def test_output_is_cut_between_characters(open_box):
    box = open_box(output_limit=4)
    assert box("print('äöü', end='')").logs == "äö\n… 2 more bytes were not kept"


def test_a_stop_from_another_thread_ends_running_code(open_box):
    entered, stop = threading.Event(), threading.Event()
    box = open_box({"entered": entered.set}, stop=stop)
    stopper = soon_after(entered, stop.set)
    with pytest.raises(ExecutionStopped, match="stopped"):
        box("entered()\ntry:\n    while True: pass\nexcept BaseException:\n    while True: pass")
    stopper.join()
    with pytest.raises(SandboxClosed):
        box("1")


def test_a_stop_ends_a_sleep(open_box):
    entered, stop = threading.Event(), threading.Event()
    box = open_box({"entered": entered.set}, stop=stop, step_timeout=1000)
    stopper = soon_after(entered, stop.set)
    with pytest.raises(ExecutionStopped):
        box("import time\nentered()\ntime.sleep(900)")
    stopper.join()


def test_a_stop_that_came_before_runs_no_code(open_box):
    stop, called = threading.Event(), []
    stop.set()
    with pytest.raises(ExecutionStopped):
        open_box({"tool": lambda: called.append(1)}, stop=stop)("tool()")
    with pytest.raises(ExecutionStopped):
        open_box({"tool": lambda: called.append(1)}, deadline=time.monotonic())("tool()")
    assert called == []


def test_a_stop_during_a_tool_ends_the_step_when_the_tool_returns(open_box):
    stop, after = threading.Event(), []
    box = open_box({"tool": stop.set, "after": lambda: after.append(1)}, stop=stop)
    with pytest.raises(ExecutionStopped):
        box("try:\n    tool()\nexcept BaseException:\n    pass\nafter()")
    assert after == []


@pytest.mark.parametrize("code", ["tool()", "try:\n    broken()\nexcept Exception:\n    pass", "final_answer(tool())"])
def test_a_stop_during_the_last_tool_of_a_step_is_not_missed(open_box, code):
    stop = threading.Event()

    def broken():
        stop.set()
        raise ValueError

    with pytest.raises(ExecutionStopped):
        open_box({"tool": stop.set, "broken": broken}, stop=stop)(code)


def test_a_stop_leaves_no_generated_code_a_chance_to_catch_it(open_box):
    entered, stop, after = threading.Event(), threading.Event(), []
    box = open_box({"entered": entered.set, "after": lambda: after.append(1)}, stop=stop)
    stopper = soon_after(entered, stop.set)
    with pytest.raises(ExecutionStopped):
        box("entered()\ntry:\n    while True: pass\nexcept:\n    after()\nfinally:\n    after()")
    stopper.join()
    assert after == []


def test_a_deadline_ends_running_code(open_box):
    box = open_box(deadline=time.monotonic() + 0.5)
    with pytest.raises(ExecutionStopped, match="deadline"):
        box("while True: pass")


def test_ctrl_c_while_code_runs_leaves_as_keyboard_interrupt_and_closes_the_session(open_box):
    entered = threading.Event()
    box = open_box({"entered": entered.set})
    stopper = soon_after(entered, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        box("entered()\nwhile True: pass")
    stopper.join()
    with pytest.raises(SandboxClosed):
        box("1")


def test_cleanup_from_another_thread_ends_running_code(open_box):
    entered = threading.Event()
    box = open_box({"entered": entered.set})
    stopper = soon_after(entered, box.cleanup)
    with pytest.raises(SandboxClosed):
        box("entered()\nwhile True: pass")
    stopper.join()
