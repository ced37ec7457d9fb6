"""What smolagents promises of an executor that runs code elsewhere, kept by a container: `CodeAgent(executor=...)`.

The cases are those that smolagents tests its own remote executors with, and those that these executors refuse: tools
with live connections, closures, MCP tools and managed agents.
"""

import asyncio
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from smolagents import FinalAnswerTool, OpenAIModel, Tool, tool
from smolagents.agent_types import AgentImage
from smolagents.agents import ActionOutput, PlanningStep
from smolagents.memory import ActionStep, FinalAnswerStep
from smolagents.models import ChatMessageStreamDelta

from dionysus_mcp.client import McpClient, StdioServer
from sandbox import CodeError, DockerBackend, DockerSandbox, SandboxClosed, SandboxSettings
from tests.sandbox.agents import Script, agent
from tests.sandbox.docker.patience import unhurried
from tests.support.openai_server import OpenAIServer, Say

pytestmark = pytest.mark.docker

PICTURE = Image.linear_gradient("L").resize((4, 3)).convert("RGB")
SERVER = Path(__file__).parents[2] / "dionysus_mcp" / "small_server.py"


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=1, step_timeout=60))
    yield backend
    backend.close()


@pytest.fixture
def box(backend):
    with backend.open() as box:
        box.send_tools({"final_answer": FinalAnswerTool()})
        yield box


# The executor by itself, as smolagents drives it


def test_variables_and_imports_of_one_snippet_are_there_in_the_next(box):
    box("import numpy as np; a = 2")
    result = box("print(np.sqrt(a))")
    assert "1.41421" in result.logs
    assert (result.output, result.is_final_answer) == (None, False)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ('final_answer("This is the final answer")', "This is the final answer"),
        ('final_answer("""line 1\nline 2""")', "line 1\nline 2"),
        ("final_answer([1, {'a': (2, {3})}, None, 1.5, b'x'])", [1, {"a": (2, {3})}, None, 1.5, b"x"]),
        ("def done(x):\n    final_answer(x)\ndone(5)", 5),
        ("answer = final_answer\nanswer(6)", 6),
        ("try:\n    final_answer(7)\nexcept Exception:\n    final_answer(8)", 7),
        ("for n in range(9):\n    if n == 4: final_answer(n)", 4),
        ("final_answer(answer={'k': 1j})", {"k": 1j}),
        ("[final_answer(n) for n in (1, 2)]", 1),
        ("if True: final_answer(None)", None),
        ("x = final_answer('once')\nfinal_answer('twice')", "once"),
        ("class A:\n    def __enter__(self): return self\n    def __exit__(self, *a): return True\n"
         "with A(): final_answer('within')", "within"),
    ],
)  # fmt: skip
def test_a_final_answer_is_known_wherever_it_stands(box, code, answer):
    result = box(code)
    assert (result.output, result.logs, result.is_final_answer) == (answer, "", True)
    assert box("1").output == 1


def test_the_word_final_answer_in_a_text_or_a_comment_is_no_final_answer(box):
    assert not box("print('final_answer(1)')  # final_answer(2)").is_final_answer


def test_an_image_of_the_code_is_a_final_answer(box):
    code = "from PIL import Image\nimage = Image.new('RGB', (10, 10), (255, 0, 0))\nfinal_answer(image)"
    answer = box(code).output
    assert isinstance(answer, Image.Image)
    assert answer.getpixel((5, 5)) == (255, 0, 0)


def test_a_syntax_error_is_named(box):
    with pytest.raises(CodeError, match="SyntaxError"):
        box('print("Missing Parenthesis')


def test_the_container_is_gone_after_cleanup(backend):
    box = backend.open()
    box("1")
    container = box.container
    box.cleanup()
    until = time.monotonic() + 20  # it is removed in the background
    while container in {each["Id"] for each in backend._api.containers(all=True)}:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_final_answer_tool_with_inputs_of_its_own_answers(box):
    class Both(FinalAnswerTool):
        inputs: ClassVar = {
            "one": {"type": "string", "description": "-"},
            "two": {"type": "integer", "description": "-", "nullable": True},
        }

        def forward(self, one, two=None):
            return f"{one}-{two}"

    box.send_tools({"final_answer": Both()})
    assert box("final_answer('a', two=1)").output == "a-1"
    assert box("final_answer(one='b')").output == "b-None"
    with pytest.raises(CodeError, match="'two' of final_answer.. must be int or None, not str"):
        box("final_answer('a', 'b')")


# A whole agent


def test_an_agent_alone_with_a_sandbox_of_its_own(sandbox_image):
    with DockerSandbox(image=sandbox_image) as own:
        worker = agent(own, Script("a = 20", "b = a + 1", "final_answer(a + b)"))
        assert worker.run("add") == 41
        container = own.container
        assert container
    assert own.container is None


def test_an_agent_used_with_with_ends_its_sandbox(backend):
    box = backend.open()
    with agent(box, Script("final_answer(1)")) as worker:
        assert worker.run("one") == 1
    with pytest.raises(SandboxClosed):
        box("1")
    worker.cleanup()  # may be called again


def test_an_agent_speaks_to_a_server_and_streams(backend):
    said = "Thought: I calculate.\n<code>\nfinal_answer(6 * 7)\n</code>"
    with OpenAIServer([Say(said)]) as server, backend.open() as box:
        model = OpenAIModel("scripted", api_base=server.url, api_key="none", client_kwargs={"max_retries": 0})
        try:
            worker = agent(box, model, stream_outputs=True)
            seen = list(worker.run("What is 6 times 7?", stream=True))
            assert agent(box, model).run("again") == 42
        finally:
            model.client.close()
    assert isinstance(seen[-1], FinalAnswerStep)
    assert seen[-1].output == 42
    assert "final_answer" in "".join(each.content or "" for each in seen if isinstance(each, ChatMessageStreamDelta))
    assert [each.is_final_answer for each in seen if isinstance(each, ActionOutput)] == [True]


def test_an_agent_that_plans_runs_code_in_between(box):
    model = Script("a plan", "found = 3", "another plan", "final_answer(found)")
    worker = agent(box, model, planning_interval=1)
    steps = [each for each in worker.run("plan", stream=True) if isinstance(each, ActionStep | PlanningStep)]
    assert [type(each) for each in steps] == [PlanningStep, ActionStep, PlanningStep, ActionStep]
    assert worker.memory.steps[-1].action_output == 3


def test_additional_arguments_of_every_kind_are_variables(box):
    given = {"table": pd.DataFrame({"n": [1, 2]}), "a": np.arange(3), "im": PICTURE, "raw": b"\0", "who": {"x": (1,)}}
    model = Script(
        "seen = [type(v).__name__ for v in (table, a, im, raw, who)]\nfinal_answer([*seen, im.size, a.sum()])"
    )
    answer = agent(box, model).run("look", additional_args=given)
    assert answer == ["DataFrame", "ndarray", "Image", "bytes", "dict", (4, 3), 3]


def test_an_argument_that_cannot_cross_is_an_error_before_the_first_step(box):
    model = Script("final_answer(1)")
    with pytest.raises(Exception, match="'lock' can't be sent.*type lock") as caught:
        agent(box, model).run("look", additional_args={"lock": threading.Lock()})
    assert type(caught.value).__name__ == "ValueRefused"
    assert model.asked == []


def test_images_of_a_task_are_shown_to_the_model_and_may_be_sent_to_the_code_too(box):
    model = Script("final_answer(picture.size)")
    worker = agent(box, model)
    assert worker.run("look", images=[PICTURE], additional_args={"picture": AgentImage(PICTURE)}) == (4, 3)
    assert [image.size for image in model.images[0]] == [(4, 3)]


def test_an_answer_that_is_an_image_is_one_of_smolagents_and_a_table_is_a_table(box):
    code = "from PIL import Image\nimport pandas as pd\n"
    answer = agent(box, Script(code + "final_answer(Image.new('L', (2, 5)))")).run("draw")
    assert isinstance(answer, AgentImage)
    assert answer.to_raw().size == (2, 5)
    table = agent(box, Script("final_answer(pd.DataFrame({'a': [1, 2]}))")).run("count", reset=False)
    assert table["a"].sum() == 3


def test_the_last_output_is_shown_to_the_model(box):
    model = Script(
        "import pandas as pd\npd.DataFrame({'city': ['Ulm']})", "import numpy as np\nnp.eye(2)", "final_answer(1)"
    )
    agent(box, model).run("look")
    assert "Ulm" in model.asked[1]
    assert "[0. 1.]" in model.asked[2]


def test_what_may_be_imported_is_what_the_image_has(box):
    model = Script("import numpy, csv, ctypes\nprint(numpy.pi)", "import nowhere_to_be_found", "final_answer('done')")
    worker = agent(box, model, additional_authorized_imports=["numpy"])
    assert worker.run("import") == "done"
    assert "3.14" in model.asked[1]
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in model.asked[2]


def test_errors_are_observations_and_the_state_before_them_is_kept(box):
    model = Script(
        "kept = 1\nraise ValueError('wrong')", "nowhere", "kept +", "tool_less(1)", "kept += 1", "final_answer(kept)"
    )
    worker = agent(box, model, max_steps=8)
    assert worker.run("try") == 2
    for said, asked in zip(
        ("ValueError: wrong", "NameError", "SyntaxError", "tool_less"), model.asked[1:], strict=False
    ):
        assert said in asked
    assert [step.error is not None for step in worker.memory.steps[1:]] == [True] * 4 + [False] * 2


def test_a_step_that_takes_too_long_is_an_observation(sandbox_image):
    with DockerSandbox(image=sandbox_image, step_timeout=2) as box:
        model = Script("kept = 1\nwhile True: pass", "final_answer(kept)")
        with unhurried():
            assert agent(box, model).run("loop") == 1
    assert "step_timeout" in model.asked[1]


def test_the_answer_of_an_agent_that_ran_out_of_steps_is_the_model_s(box):
    worker = agent(box, Script("a = 1", "a = 2", "never run"), max_steps=2)
    assert "never run" in worker.run("loop")


def test_checks_of_the_final_answer_see_what_the_code_gave(box):
    seen = []

    def even(answer, *_args, **_kwargs):
        seen.append(answer)
        return answer % 2 == 0

    model = Script("final_answer(3)", "final_answer(4)")
    assert agent(box, model, final_answer_checks=[even]).run("answer") == 4
    assert seen == [3, 4]


# Tools that can't be shipped anywhere


def test_a_tool_with_an_open_database_is_called_from_the_code(box):
    class Query(Tool):
        name = "query"
        description = "Asks the database."
        inputs: ClassVar = {"sql": {"type": "string", "description": "one statement"}}
        output_type = "array"

        def __init__(self, connection):
            super().__init__()
            self.connection = connection

        def forward(self, sql: str) -> list:
            return self.connection.execute(sql).fetchall()

    connection = sqlite3.connect(":memory:")
    connection.execute("create table city (name text, size integer)")
    connection.executemany("insert into city values (?, ?)", [("Ulm", 1), ("Bonn", 3)])
    try:
        model = Script(
            "rows = query('select * from city')\nprint(rows)",
            "try:\n    query('select mayor from city')\nexcept Exception as error:\n    print(error)",
            "final_answer(sum(size for _, size in rows))",
        )
        assert agent(box, model, tools=[Query(connection)]).run("sum") == 4
    finally:
        connection.close()
    assert "('Ulm', 1)" in model.asked[1]
    assert "no such column" in model.asked[2]


def test_tools_for_images_and_arrays_give_and_take_them(box):
    class Turn(Tool):
        name = "turn"
        description = "Turns a picture."
        inputs: ClassVar = {"picture": {"type": "image", "description": "what to turn"}}
        output_type = "image"

        def forward(self, picture):
            return picture.transpose(Image.Transpose.ROTATE_90)

    @tool
    def total(numbers: list) -> float:
        """Adds numbers.

        Args:
            numbers: what to add
        """
        return float(np.sum(numbers))

    model = Script("import numpy as np\nfinal_answer((turn(picture).size, total(np.ones(4)), total([1, 2])))")
    answer = agent(box, model, tools=[Turn(), total]).run("turn", additional_args={"picture": PICTURE})
    assert answer == ((3, 4), 4.0, 3.0)


def test_a_wrong_argument_is_an_observation_that_says_what_is_wanted(box):
    seen = []

    @tool
    def repeat(text: str, times: int) -> str:
        """Repeats a text.

        Args:
            text: what to repeat
            times: how often
        """
        seen.append((text, times))
        return text * times

    model = Script("repeat('a', '3')", "final_answer(repeat('a', 3))")
    assert agent(box, model, tools=[repeat]).run("repeat") == "aaa"
    assert "TypeError: the argument 'times' of repeat() must be int, not str" in model.asked[1]
    assert seen == [("a", 3)]


@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_tools_of_an_mcp_server_are_called_from_the_code(box, loop):
    class Remote(Tool):
        """A tool of a server: its client lives on another thread's event loop."""

        skip_forward_signature_validation = True
        output_type = "any"

        def __init__(self, client, info):
            self.name, self.description = info.name, info.description or info.name
            self.inputs = {
                name: {"type": schema["type"], "description": name}
                for name, schema in info.input_schema["properties"].items()
            }
            self.client = client
            super().__init__()

        def forward(self, **arguments):
            return asyncio.run_coroutine_threadsafe(self.client.call(self.name, arguments), loop).result(30)

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    client = McpClient("small", StdioServer(command=sys.executable, args=(str(SERVER), "stdio")))
    run(client.connect())
    try:
        tools = [Remote(client, info) for info in run(client.tools()) if info.name in ("echo", "fail", "process_id")]
        model = Script(
            "said = echo(text='h\u00e9llo')\npid = process_id()['pid']\nprint(said)",
            "echo(text=7)",
            "try:\n    fail()\nexcept Exception as error:\n    print('it said:', error)",
            "final_answer(pid == process_id()['pid'])",
        )
        assert agent(box, model, tools=tools).run("echo") is True
    finally:
        run(client.close())
    assert "h\u00e9llo" in model.asked[1]
    assert "must be str, not int" in model.asked[2]
    assert "wrong phase" in model.asked[3]


def test_managed_agents_work_in_sandboxes_of_their_own_and_call_their_own_tools(backend, box):
    notes = []

    @tool
    def note(text: str) -> int:
        """Notes a text.

        Args:
            text: what to note
        """
        notes.append(text)
        return len(notes)

    with backend.open() as inner:
        scribe = agent(
            inner, Script("final_answer(note('from below'))"), tools=[note], name="scribe", description="Notes."
        )
        model = Script(
            "try:\n    note('from above')\nexcept NameError:\n    print('not mine')",
            "report = scribe('write it down', additional_args={'n': 1})",
            "final_answer('1' in report)",
        )
        assert agent(box, model, managed_agents=[scribe]).run("manage") is True
        assert inner.container != box.container
    assert notes == ["from below"]
    assert "not mine" in model.asked[1]


def test_two_agents_may_share_a_backend_and_run_at_once(backend):
    meeting, answers = threading.Barrier(2), {}

    @tool
    def meet() -> bool:
        """Waits for the other one."""
        meeting.wait(30)
        return True

    def work(name):
        with backend.open() as box:
            answers[name] = agent(box, Script(f"mine = {name!r}\nmeet()", "final_answer(mine)"), tools=[meet]).run("go")

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {"a": "a", "b": "b"}
