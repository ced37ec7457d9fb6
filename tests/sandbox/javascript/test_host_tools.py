"""The host's tools, called from JavaScript."""

import threading
from typing import ClassVar

import pytest
from smolagents import Tool

from sandbox import CodeError, ExecutionStopped, JavaScriptSandbox, LimitExceeded
from tests.sandbox.moments import soon_after

pytestmark = pytest.mark.docker


class Search(Tool):
    name = "search"
    description = "Finds."
    inputs: ClassVar = {
        "query": {"type": "string", "description": "what"},
        "top_k": {"type": "integer", "description": "how many", "nullable": True},
    }
    output_type = "array"

    def forward(self, query: str, top_k: int | None = None) -> list:
        return [query] * (top_k or 1)


@pytest.fixture
def tools(js):
    """Gives the session tools for one test."""

    def give(*tools, **functions):
        js.send_tools({**{tool.name: tool for tool in tools}, **functions})
        return js

    yield give
    js.send_tools({})


def test_arguments_go_by_position_or_by_name_in_one_object(tools):
    js = tools(Search())
    assert js(
        "[await tools.search('a'), await tools.search('a', 2), await tools.search({query: 'b', top_k: 2})]"
    ).output == [
        ["a"],
        ["a", "a"],
        ["b", "b"],
    ]


def test_an_object_beside_another_argument_goes_by_position(tools):
    js = tools(put=lambda key, value: [key, value])
    assert js("await tools.put('k', {a: 1})").output == ["k", {"a": 1}]
    assert js("await tools.put({key: 'k', value: {a: 1}})").output == ["k", {"a": 1}]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("tools.search({query: 'a', nothing: 1})", "unexpected argument 'nothing'"),
        ("tools.search('a', 1, 2)", "takes 2 arguments"),
        ("tools.search({query: 'a', sanitize_inputs_outputs: true})", "unexpected argument 'sanitize_inputs_outputs'"),
        ("tools.search(() => 1)", "can't be given this: a function can't cross"),
        ("tools.search(tools)", "can't be given this: a function can't cross"),
        ("tools.missing('a')", "tools.missing is not a function"),
        ("tools.__class__()", "tools.__class__ is not a function"),
        ("tools.constructor()", "tools.constructor is not a function"),
    ],
)
def test_what_does_not_fit_is_a_type_error_in_the_code(tools, call, text):
    js = tools(Search())
    assert text in js(f"try {{ await {call} }} catch (error) {{ return `${{error.name}}: ${{error.message}}` }}").output


def test_errors_of_tools_are_errors_in_the_code(tools):
    def fail(kind):
        raise {"value": ValueError, "type": TypeError, "key": KeyError}[kind]("said")

    js = tools(fail=fail)
    code = (
        "try {{ await tools.fail('{}') }} catch (error) {{ return [error.name, error.message, error instanceof Error] "
        "}}"
    )
    assert js(code.format("value")).output == ["ValueError", "said", True]
    assert js(code.format("type")).output == ["TypeError", "said", True]
    assert js(code.format("key")).output == ["KeyError", "said", True]
    with pytest.raises(CodeError, match="line 2(.|\n)*ValueError: said"):
        js("1\nawait tools.fail('value')")


def test_a_rejected_call_that_nobody_awaits_is_an_error_of_the_step(tools):
    def fail():
        raise ValueError("unseen")

    js = tools(fail=fail)
    with pytest.raises(CodeError, match="unseen"):
        js("tools.fail(); 1")


def test_calls_side_by_side_are_served_one_after_the_other(tools):
    seen = []
    js = tools(note=lambda n: seen.append(n) or n * 2)
    assert js("await Promise.all([1, 2, 3].map(n => tools.note(n)))").output == [2, 4, 6]
    assert seen == [1, 2, 3]


def test_a_call_is_a_promise(tools):
    js = tools(one=lambda: 1)
    assert js("const p = tools.one(); [p instanceof Promise, await p.then(n => n + 1).finally(() => 9)]").output == [
        True,
        2,
    ]


def test_a_call_is_made_from_timers_and_callbacks_too(tools):
    js = tools(one=lambda: 1)
    assert js("await new Promise(done => setTimeout(() => done(tools.one()), 2))").output == 1
    assert js("await new Promise(done => require('fs').stat('.', () => done(tools.one())))").output == 1
    assert js("(await import('fs')).promises.stat('.').then(() => tools.one())").output == 1


def test_values_of_every_kind_go_to_tools_and_back(tools):
    js = tools(same=lambda value: value)
    code = "const back = await tools.same([{a: 1n, b: new Set([1])}, new Uint8Array([1]), new Map([[1, null]]), NaN]); "
    assert js(f"{code}[back[0], back[1][0], back[2] instanceof Map, back[3]]").output[:3] == [
        {"a": 1, "b": {1}},
        1,
        True,
    ]


def test_a_tool_that_returns_what_can_t_cross_is_a_type_error(tools):
    js = tools(live=lambda: threading.Lock())
    with pytest.raises(CodeError, match="TypeError.*lock"):
        js("await tools.live()")


def test_time_in_a_tool_is_not_charged(limited_js):
    js = limited_js(step_timeout=1)
    js.send_tools({"wait": lambda: threading.Event().wait(1.1)})
    js.start()
    assert js("await tools.wait(); 'done'").output == "done"


def test_the_box_stands_still_while_a_tool_works(own_js):
    own_js.send_tools({"wait": lambda: threading.Event().wait(1)})
    spin = (
        "new (require('worker_threads').Worker)('const b = require(\"worker_threads\").workerData; while (true) "
        "b[0]++', {eval: true, workerData: counted})"
    )
    own_js(
        f"const counted = new Int32Array(new SharedArrayBuffer(4)); const w = {spin}; await new "
        f"Promise(done => w.on('online', done))"
    )
    during = own_js("const a = counted[0]; await tools.wait(); counted[0] - a").output
    beside = own_js("const b = counted[0]; await new Promise(done => setTimeout(done, 1000)); counted[0] - b").output
    assert during < beside / 3


def test_more_calls_than_allowed_end_the_step_and_not_the_session(limited_js):
    js = limited_js(max_host_calls=5)
    js.send_tools({"one": lambda: 1})
    js("let kept = 1")
    with pytest.raises(LimitExceeded, match="5 calls"):
        js("while (true) { try { await tools.one() } catch {} }")
    assert js("kept").output == 1


def test_a_stop_signal_of_a_tool_leaves_the_step(backend):
    class Halt(BaseException):
        pass

    def halt():
        raise Halt

    with JavaScriptSandbox(backend=backend) as js:
        js.send_tools({"halt": halt})
        with pytest.raises(Halt):
            js("try { await tools.halt() } catch { } finally { }")
        assert js.container is None


def test_a_stop_event_ends_the_step_and_the_session(backend):
    entered, stop = threading.Event(), threading.Event()
    with JavaScriptSandbox(backend=backend, stop=stop) as js:
        js.send_tools({"entered": entered.set})
        stopper = soon_after(entered, stop.set)
        with pytest.raises(ExecutionStopped):
            js("await tools.entered(); while (true);")
        stopper.join()
        assert js.container is None


def test_a_tool_may_put_and_get_files_while_the_code_waits(own_js):
    own_js.send_tools({"fetch": lambda: own_js.put_file("got.txt", b"here")})
    assert own_js("await tools.fetch(); require('fs').readFileSync('got.txt', 'utf8')").output == "here"


def test_tools_of_an_earlier_step_are_gone_when_others_are_sent(own_js):
    own_js.send_tools({"first": lambda: 1})
    own_js("globalThis.kept = tools")
    own_js.send_tools({"second": lambda: 2})
    assert own_js("[Object.keys(tools), await kept.first().catch(e => e.name)]").output == [["second"], "NameError"]
