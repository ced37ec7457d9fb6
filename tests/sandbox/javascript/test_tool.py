"""`JavaScriptTool`: JavaScript for agents, beside their Python and without it."""

import json
import threading
from typing import ClassVar

import pytest
from smolagents import CodeAgent, Model, Tool, ToolCallingAgent
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole
from smolagents.monitoring import LogLevel

from sandbox import CodeError, DockerBackend, ExecutionStopped, JavaScriptTool, SandboxSettings
from tests.sandbox.moments import soon_after

pytestmark = pytest.mark.docker


class Chooser(Model):
    """A scripted model that picks a language for each task: Python for numbers, JavaScript for words."""

    PYTHON = "answer = sum(n ** 2 for n in range(5))"
    JAVASCRIPT = (
        "answer = run_javascript(code='context.words.map(w => w.toUpperCase()).join(`-`)', context={'words': ['a', "
        "'b']})['result']"
    )

    def __init__(self):
        super().__init__(model_id="chooser")
        self.asked = []

    def generate(self, messages, **_kwargs):
        said = "\n".join(str(message.content) for message in messages)
        self.asked.append(said)
        task = said.rpartition("New task:")[2]
        code = self.JAVASCRIPT if "words" in task else self.PYTHON
        return ChatMessage(
            role=MessageRole.ASSISTANT, content=f"Thought: fits\n<code>\n{code}\nfinal_answer(answer)\n</code>"
        )


class Caller(Model):
    """Calls the tool with one code after the other, and answers with the last result."""

    def __init__(self, *codes):
        super().__init__(model_id="caller")
        self.codes = iter(codes)
        self.asked = []

    def generate(self, messages, **_kwargs):
        self.asked.append("\n".join(str(message.content) for message in messages))
        code = next(self.codes, None)
        name, arguments = (
            ("run_javascript", {"code": code}) if code else ("final_answer", {"answer": self.asked[-1][-300:]})
        )
        call = ChatMessageToolCall(
            function=ChatMessageToolCallFunction(name=name, arguments=json.dumps(arguments)), id="1", type="function"
        )
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


class Lookup(Tool):
    name = "lookup"
    description = "Finds a price."
    inputs: ClassVar = {"item": {"type": "string", "description": "what"}}
    output_type = "number"

    def forward(self, item: str) -> float:
        return {"tea": 2.5}[item]


@pytest.fixture
def tool(backend):
    with JavaScriptTool([Lookup()], backend=backend) as tool:
        yield tool


def test_an_agent_picks_python_or_javascript_for_a_task(backend, tool):
    model = Chooser()
    with backend.open() as box:
        agent = CodeAgent(tools=[tool], model=model, executor=box, max_steps=2, verbosity_level=LogLevel.OFF)
        assert agent.run("Add the squares of 0 to 4.") == 30
        assert tool._session is None
        assert agent.run("Join the words a and b in capitals.") == "A-B"
        assert tool._session is not None
    assert "run_javascript" in model.asked[0]


def test_an_agent_that_only_calls_tools_writes_javascript(tool):
    model = Caller("const price = await tools.lookup({item: 'tea'}); console.log('found'); price", "price * 2")
    answer = ToolCallingAgent(tools=[tool], model=model, max_steps=4, verbosity_level=LogLevel.OFF).run("price")
    assert "found" in model.asked[1]
    assert "5" in answer


def test_value_and_prints_come_back(tool):
    assert tool(code="console.log('hi'); context.n + 1", context={"n": 1}) == {"result": 2, "logs": "hi\n"}
    assert tool(code="const kept = 5") == {"result": None, "logs": ""}
    assert tool.forward("kept")["result"] == 5


def test_tools_are_called_with_the_checks_of_python_code(tool):
    assert tool("await tools.lookup('tea')")["result"] == 2.5
    with pytest.raises(CodeError, match="unexpected argument 'price'"):
        tool("await tools.lookup({price: 1})")
    with pytest.raises(CodeError, match="KeyError: coffee"):
        tool("await tools.lookup('coffee')")


def test_an_error_is_raised_with_its_line(tool):
    with pytest.raises(CodeError, match="line 2(.|\n)*TypeError"):
        tool("1\nnull.x")


def test_its_description_names_the_tools_and_the_rules(tool):
    assert "tools.lookup" in tool.description
    assert "context" in tool.description
    assert "tools." not in JavaScriptTool().description


def test_each_tool_has_a_session_of_its_own_and_none_before_its_first_call(backend, tool):
    with JavaScriptTool(backend=backend) as other:
        tool("globalThis.mine = 1")
        assert other("typeof mine")["result"] == "undefined"
        assert tool._session.container != other._session.container
    assert other._session is None


def test_calls_from_several_threads_wait_for_one_another(tool):
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.append(
                tool("globalThis.n = (globalThis.n ?? 0) + 1; await new Promise(done => setTimeout(done, 20)); n")[
                    "result"
                ]
            )
        )
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(results) == [1, 2, 3, 4]


def test_a_stop_leaves_the_agent_that_called(sandbox_image):
    entered, stop = threading.Event(), threading.Event()
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    with JavaScriptTool({"entered": entered.set}, backend=backend, stop=stop) as tool, backend.open() as box:
        box.send_tools({"run_javascript": tool})
        stopper = soon_after(entered, stop.set)
        with pytest.raises(ExecutionStopped):
            box("try:\n    run_javascript('await tools.entered(); for (;;);')\nexcept BaseException:\n    pass")
        stopper.join()
    backend.close()
