"""What `unsafe-local` still keeps of the contract."""

import threading

import pytest

from sandbox import CodeError, ExecutionStopped, FileRefused, SandboxClosed, SandboxSettings, ValueRefused
from sandbox.unsafe_local import UnsafeLocalBackend


@pytest.fixture
def open_local():
    def open_one(tools=None, **options):
        own = {key: options.pop(key) for key in ("stop", "deadline", "files") if key in options}
        box = UnsafeLocalBackend(SandboxSettings(**options)).open(**own)
        box.send_tools({"final_answer": lambda answer: answer, **(tools or {})})
        return box

    return open_one


def test_state_prints_and_answers(open_local):
    box = open_local()
    box.send_variables({"given": 2})
    result = box("import json\nprint('hi')\nx = given + 1\nx")
    assert (result.output, result.logs) == (3, "hi\n")
    assert box("final_answer(x)").is_final_answer


def test_errors_keep_what_was_printed(open_local):
    box = open_local()
    with pytest.raises(CodeError, match="ZeroDivisionError"):
        box("print('so far')\n1 / 0")
    assert box.state["_print_outputs"] == "so far\n"


def test_a_stop_signal_of_a_tool_leaves_as_the_same_object(open_local):
    halt = KeyboardInterrupt()

    def tool():
        raise halt

    box = open_local({"tool": tool})
    with pytest.raises(KeyboardInterrupt) as caught:
        box("try:\n    tool()\nexcept:\n    pass")
    assert caught.value is halt
    with pytest.raises(SandboxClosed):
        box("1")


def test_a_stop_is_seen_at_the_next_call_of_a_tool(open_local):
    stop, after = threading.Event(), []
    box = open_local({"stop": stop.set, "after": lambda: after.append(1)}, stop=stop)
    with pytest.raises(ExecutionStopped):
        box("stop()\nafter()")
    assert after == []


def test_results_that_cannot_cross_are_refused_as_in_every_backend(open_local):
    box = open_local({"tool": object})
    with pytest.raises(CodeError, match="object"):
        box("tool()")
    with pytest.raises(ValueRefused, match="x"):
        box.send_variables({"x": object()})


def test_calls_are_limited(open_local):
    with pytest.raises(CodeError, match="more than 3 calls"):
        open_local({"tool": lambda: 1}, max_host_calls=3)("for i in range(10): tool()")


def test_files_are_kept_but_not_for_the_code(open_local):
    box = open_local(files={"a.txt": b"1"})
    assert box.get_file("a.txt") == b"1"
    with pytest.raises(FileRefused):
        box.put_file("../b", b"")
    with pytest.raises(CodeError):
        box("open('a.txt')")
    assert "can't be opened" in UnsafeLocalBackend().guidance


def test_it_closes(open_local):
    box = open_local()
    box.cleanup()
    box.cleanup()
    with pytest.raises(SandboxClosed):
        box("1")
