"""`JavaScriptAgent`: JavaScript for people."""

import logging
import threading

import pytest

from sandbox import DockerBackend, ExecutionStopped, JavaScriptAgent, JavaScriptSandbox, SandboxSettings
from tests.sandbox.moments import soon_after

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def agent(backend):
    with JavaScriptAgent(backend=backend, tools={"twice": lambda n: 2 * n}) as js:
        yield js


def test_an_execution_says_how_it_went(agent):
    assert agent.execute_code("console.log('hi'); 6 * 7") == {
        "success": True,
        "result": 42,
        "error": None,
        "logs": "hi\n",
    }


def test_a_failed_execution_says_what_and_where(agent):
    answer = agent.execute_code("console.log('before')\nnull.x")
    assert answer["success"] is False
    assert answer["result"] is None
    assert answer["logs"] == "before\n"
    assert "line 2" in answer["error"]
    assert answer["error"].endswith("TypeError: Cannot read properties of null (reading 'x')")


def test_the_context_is_an_object_of_the_code(agent):
    rows = {"rows": [{"price": 3, "name": "a"}, {"price": 4, "name": "b"}]}
    code = "const {rows} = context; rows.map(({name, ...rest}) => `${name}: ${rest.price * 2}`)"
    assert agent.execute_code(code, rows)["result"] == ["a: 6", "b: 8"]
    assert agent.execute_code("Object.keys(context)")["result"] == []


def test_a_context_that_can_t_cross_is_an_error_in_words(agent):
    answer = agent.execute_code("context", {"live": threading.Lock()})
    assert not answer["success"]
    assert "lock" in answer["error"]
    assert agent.execute_code("1")["success"]


def test_a_returned_promise_is_awaited_and_tools_are_called(agent):
    code = "const slow = n => new Promise(done => setTimeout(done, 5, n)); return slow(await tools.twice(context.n))"
    assert agent.execute_code(code, {"n": 4})["result"] == 8


def test_names_stay_until_reset(agent):
    agent.execute_code("const kept = 1")
    assert agent.execute_code("kept")["result"] == 1
    agent.reset()
    assert agent.execute_code("typeof kept")["result"] == "undefined"


def test_files_go_in_and_out(agent):
    agent.put_file("a.csv", b"x\n1\n")
    agent.execute_code("const fs = require('fs'); fs.writeFileSync('b.csv', fs.readFileSync('a.csv'))")
    assert agent.get_file("b.csv") == b"x\n1\n"
    assert agent.list_files() == ["a.csv", "b.csv"]


def test_a_session_that_died_is_replaced_and_said(agent):
    answer = agent.execute_code("process.exit(1)")
    assert not answer["success"]
    assert "gone" in answer["error"]
    assert agent.execute_code("1")["result"] == 1


def test_debug_tells_more_in_the_answer_and_to_the_log(backend, caplog):
    with JavaScriptAgent(backend=backend, debug=True) as js, caplog.at_level(logging.DEBUG, "sandbox.javascript"):
        details = js.execute_code("1\nnull.x")["debug"]
        assert details["line"] == 2
        assert details["node"].startswith("v")
        assert details["seconds"] > 0
        assert len(details["container"]) == 64
        assert "null.x" in caplog.text
        js.debug = False
        assert "debug" not in js.execute_code("1")


def test_the_runtime_is_available_here(agent):
    assert agent.runtime_available is True


def test_an_agent_that_was_never_used_starts_nothing(backend):
    before = set(backend._used)
    with JavaScriptAgent(backend=backend):
        assert backend._used <= before


def test_a_stop_leaves_the_execution(backend):
    entered, stop = threading.Event(), threading.Event()
    with JavaScriptAgent(backend=backend, stop=stop, tools={"entered": entered.set}) as js:
        stopper = soon_after(entered, stop.set)
        with pytest.raises(ExecutionStopped):
            js.execute_code("await tools.entered(); for (;;);")
        stopper.join()


def test_agents_in_several_threads_each_have_their_own_session(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    found = {}

    def work(n):
        with JavaScriptAgent(backend=backend) as js:
            js.execute_code("globalThis.mine = context.n", {"n": n})
            found[n] = js.execute_code("mine")["result"]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    backend.close()
    assert found == {0: 0, 1: 1, 2: 2}


SLOW = "await new Promise(done => setTimeout(done, 12_000)); 'done'"  # past the silence that ends a lost box


@pytest.fixture
def hasty(sandbox_image):
    """A backend whose own steps have a second."""
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=1))
    yield backend
    backend.close()


def test_an_execution_may_take_longer_than_a_step_usually_does(hasty):
    with JavaScriptAgent(backend=hasty) as agent:
        assert agent.execute_code(SLOW, timeout=40)["result"] == "done"
        assert not agent.execute_code("while (true) {}", timeout=1)["success"]


@pytest.mark.exhaustive  # a second time past that silence: the agent's time is one of its session, as above
def test_a_session_s_own_time_counts_and_not_that_of_who_makes_its_container(hasty):
    with JavaScriptSandbox(limits=hasty.settings.changed(step_timeout=40), backend=hasty) as box:
        assert box(SLOW).output == "done"
