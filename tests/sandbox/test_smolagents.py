"""`CodeAgent(executor=...)`: a real agent with a scripted model, for every backend."""

import socket
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from smolagents import Tool, tool

from sandbox import BackendLost, ExecutionStopped, Limits, MontySandbox
from tests.sandbox.agents import Script, agent
from tests.sandbox.moments import soon_after


class Connection(Tool):
    """Holds a live socket and a lock, which no executor that ships source text can."""

    name = "ask_server"
    description = "Sends a line and returns the answer."
    inputs: ClassVar = {"line": {"type": "string", "description": "what to send"}}
    output_type = "string"

    def __init__(self, live: socket.socket):
        super().__init__()
        self.live = live
        self.lock = threading.Lock()

    def forward(self, line: str) -> str:
        with self.lock:
            self.live.sendall(line.encode())
            return self.live.recv(100).decode()


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()

    def serve():
        while line := theirs.recv(100):
            theirs.sendall(line.upper())

    thread = threading.Thread(target=serve)
    thread.start()
    yield ours
    ours.close()
    thread.join()
    theirs.close()


def test_an_agent_works_step_by_step_and_answers(open_box):
    model = Script("found = [1, 2]\nprint('found', found)", "final_answer(sum(found))")
    assert agent(open_box(), model).run("add") == 3
    assert "found [1, 2]" in model.asked[1]


def test_a_tool_with_a_live_connection_is_called_from_the_code(open_box, echo):
    model = Script("answers = [ask_server(line=l) for l in ('a', 'b')]\nfinal_answer(answers + [ask_server('c')])")
    assert agent(open_box(), model, tools=[Connection(echo)]).run("ask") == ["A", "B", "C"]


def test_a_tool_that_is_a_closure_is_called_from_the_code(open_box):
    seen = []

    @tool
    def note(text: str) -> int:
        """Notes a text.

        Args:
            text: what to note
        """
        seen.append(text)
        return len(seen)

    assert agent(open_box(), Script("note('x')\nfinal_answer(note(text='y'))"), tools=[note]).run("note") == 2
    assert seen == ["x", "y"]


def test_a_managed_agent_with_its_own_sandbox_is_called_from_the_code(make_backend):
    backend = make_backend()
    with backend.open() as outer, backend.open() as inner:
        helper = agent(inner, Script("final_answer(6 * 7)"), name="helper", description="Calculates.")
        model = Script("report = helper(task='six times seven')\nprint(report)", "final_answer('42' in report)")
        assert agent(outer, model, managed_agents=[helper]).run("ask") is True


def test_an_error_becomes_an_observation_with_its_line_and_what_was_printed(open_box):
    model = Script("print('before')\nx = 1 / 0", "final_answer('recovered')")
    assert agent(open_box(), model).run("try") == "recovered"
    assert "ZeroDivisionError" in model.asked[1]
    assert "line 2" in model.asked[1]
    assert "before" in model.asked[1]


def test_additional_arguments_are_variables_of_the_code(open_box):
    result = agent(open_box(), Script("final_answer(table['rows'][1])")).run(
        "read", additional_args={"table": {"rows": [1, 2]}}
    )
    assert result == 2


def test_an_agent_goes_on_in_the_same_session_for_a_second_task(open_box):
    worker = agent(open_box(), Script("kept = 'first'\nfinal_answer(1)", "final_answer(kept)"))
    worker.run("one")
    assert worker.run("two", reset=False) == "first"


def test_a_stop_signal_of_a_tool_leaves_the_agent(open_box):
    class Halt(BaseException):
        pass

    halt = Halt()

    @tool
    def spend() -> str:
        """Spends the rest of the budget."""
        raise halt

    model = Script("try:\n    spend()\nexcept:\n    print('caught')", "final_answer('went on')")
    with pytest.raises(Halt) as caught:
        agent(open_box(), model, tools=[spend]).run("spend")
    assert caught.value is halt
    assert len(model.asked) == 1


def test_a_stop_event_leaves_the_agent(open_box):
    entered, stop = threading.Event(), threading.Event()

    @tool
    def enter() -> None:
        """Tells that the code runs."""
        entered.set()

    stopper = soon_after(entered, stop.set)
    with pytest.raises(ExecutionStopped):
        agent(open_box(stop=stop), Script("enter()\nwhile True: pass", "final_answer(1)"), tools=[enter]).run("loop")
    stopper.join()


def test_a_backend_that_fails_ends_the_agent_instead_of_becoming_an_observation(monkeypatch):
    monkeypatch.setenv("MONTY_BIN", "/nowhere/monty")
    model = Script("1", "final_answer(1)")
    with MontySandbox() as box, pytest.raises(BackendLost):
        agent(box, model).run("try")
    assert len(model.asked) == 1


def test_monty_works_alone_as_the_executor_of_an_agent():
    with MontySandbox(limits=Limits(step_timeout=5)) as box:
        with agent(box, Script("final_answer(40 + 2)")) as worker:
            assert worker.run("add") == 42
        assert box.worker_pid is None
