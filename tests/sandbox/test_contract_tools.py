"""Host tools: called by code in the sandbox, run on the host, and never a way for code to catch a stop signal."""

import threading
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from sandbox import CodeError, LimitExceeded, SandboxClosed


class Search:
    """A tool as smolagents has them: called by keyword, with switches of its own that code must not reach."""

    def __init__(self):
        self.inputs = {"query": {"type": "string"}, "top_k": {"type": "integer", "nullable": True}}
        self.lock = threading.Lock()  # a live object that could never be copied into a sandbox

    def __call__(self, *args, sanitize_inputs_outputs=False, **kwargs):
        assert not args
        assert not sanitize_inputs_outputs
        with self.lock:
            return kwargs


class Point(BaseModel):
    x: int
    tags: tuple[str, ...] = ()


@dataclass
class Span:
    start: int
    point: Point


class Stop(BaseException):
    pass


def fail(error):
    def tool(*_args):
        raise error

    return tool


@pytest.mark.parametrize("call", ["search('a', 3)", "search('a', top_k=3)", "search(query='a', top_k=3)"])
def test_positional_and_keyword_arguments_reach_the_same_inputs(open_box, call):
    assert open_box({"search": Search()})(call).output == {"query": "a", "top_k": 3}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("search(1, 2, 3)", "takes 2 arguments"),
        ("search('a', query='b')", "two values for argument 'query'"),
        ("search('a', limit=3)", "unexpected argument 'limit'"),
        ("search('a', sanitize_inputs_outputs=True)", "unexpected argument 'sanitize_inputs_outputs'"),
    ],
)
def test_arguments_that_do_not_fit_are_a_type_error_in_the_code(open_box, call, message):
    with pytest.raises(CodeError, match=f"TypeError.*{message}"):
        open_box({"search": Search()})(call)


def test_a_plain_function_gets_its_arguments_as_they_come(open_box):
    box = open_box({"f": lambda a, *rest, b=0: [a, rest, b]})
    assert box("f(1, 2, 3, b=4)").output == [1, (2, 3), 4]


def test_tools_are_called_from_loops_comprehensions_and_functions_of_earlier_steps(open_box):
    box = open_box({"square": lambda n: n * n})
    box("def all_squares(ns):\n    return [square(n) for n in ns]")
    assert box("total = 0\nfor n in all_squares([1, 2, 3]):\n    total += n\ntotal").output == 14


def test_a_tool_can_be_bound_to_another_name(open_box):
    assert open_box({"tool": lambda: 7})("other = tool\nother()").output == 7


def test_only_the_tools_sent_last_can_be_called(open_box):
    box = open_box({"old": lambda: 1})
    assert box("old()").output == 1
    box.send_tools({"new": lambda: 2})
    assert box("new()").output == 2
    with pytest.raises(CodeError, match="NameError: name 'old' is not defined"):
        box("old()")


def test_models_and_dataclasses_arrive_as_dicts(open_box):
    box = open_box({"model": lambda: [Point(x=1, tags=("a",))], "record": lambda: Span(2, Point(x=3))})
    assert box("model()").output == [{"x": 1, "tags": ["a"]}]
    assert box("record()['point']['x'] + record()['start']").output == 5


def test_an_instance_of_a_class_of_the_code_arrives_as_a_dict(open_box):
    got = []
    box = open_box({"take": got.append})
    box("class P:\n    def __init__(self):\n        self.x = 1\ntake(P())")
    assert got == [{"x": 1}]


@pytest.mark.parametrize("value", [object(), lambda: 1, range(3), (n for n in "ab"), threading.Lock(), Point])
def test_a_result_that_cannot_cross_is_an_error_that_names_its_type(open_box, value):
    name = value.__name__ if value is Point else type(value).__name__
    box = open_box({"tool": lambda: value})
    with pytest.raises(CodeError, match=name):
        box("tool()")
    assert box("1").output == 1


def test_an_argument_that_cannot_cross_is_an_error_in_the_code(open_box):
    called = []
    box = open_box({"tool": called.append})
    with pytest.raises(CodeError, match=r"TypeError: .* too large"):
        box("tool(10 ** 6000)")
    assert called == []


@pytest.mark.parametrize(
    ("error", "caught_as", "text"),
    [
        (ValueError("too small"), "ValueError", "too small"),
        (KeyError("id"), "KeyError", "id"),
        (ConnectionError("no route"), "OSError", "no route"),
        (type("QuotaError", (RuntimeError,), {})("used up"), "RuntimeError", "QuotaError: used up"),
        (type("Odd", (Exception,), {})("strange"), "Exception", "Odd: strange"),
    ],
)
def test_a_tools_error_can_be_caught_in_the_code_by_its_type(open_box, error, caught_as, text):
    box = open_box({"tool": fail(error)})
    code = f"try:\n    tool()\n    r = 'nothing raised'\nexcept {caught_as} as e:\n    r = str(e)\nr"
    assert text in box(code).output


def test_a_tools_error_that_is_not_caught_names_type_message_and_line(open_box):
    with pytest.raises(CodeError, match="ValueError: bad input") as caught:
        open_box({"tool": fail(ValueError("bad input"))})("x = 1\ntool()")
    assert caught.value.line == 2


def test_an_error_whose_text_cannot_be_made_is_still_an_error(open_box):
    class UnprintableError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    with pytest.raises(CodeError, match="can't be printed"):
        open_box({"tool": fail(UnprintableError())})("tool()")


@pytest.mark.parametrize(
    "code",
    [
        "tool()",
        "try:\n    tool()\nexcept:\n    after()",
        "try:\n    tool()\nexcept BaseException:\n    after()",
        "try:\n    tool()\nfinally:\n    after()",
        "while True:\n    try:\n        tool()\n    except:\n        after()\n        continue",
        "def f():\n    try:\n        tool()\n    except:\n        return after()\nf()",
        "[tool() for _ in range(3)]",
        "with open('x', 'w') as f:\n    tool()",
    ],
)
@pytest.mark.parametrize("stop", [Stop("halt"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
def test_a_stop_signal_of_a_tool_leaves_as_the_same_object_and_closes_the_session(open_box, code, stop):
    after = []
    box = open_box({"tool": fail(stop), "after": lambda: after.append(1)})
    with pytest.raises(type(stop)) as caught:
        box(code)
    assert caught.value is stop
    assert after == []
    with pytest.raises(SandboxClosed):
        box("1")


def test_a_stop_signal_of_final_answer_leaves_too(open_box):
    stop = Stop()
    box = open_box({"final_answer": fail(stop)})
    with pytest.raises(Stop) as caught:
        box("final_answer(1)")
    assert caught.value is stop


def test_an_error_of_final_answer_is_an_error_in_the_code_and_does_not_end_it(open_box):
    def checked(answer):
        if answer != "good":
            raise ValueError("not good enough")
        return answer

    result = open_box({"final_answer": checked})(
        "try:\n    final_answer('bad')\nexcept ValueError:\n    final_answer('good')"
    )
    assert (result.output, result.is_final_answer) == ("good", True)


def test_final_answer_may_return_any_object_of_the_host(open_box):
    answer = object()
    assert open_box({"final_answer": lambda _: answer})("final_answer(1)").output is answer


def test_calls_in_one_step_are_counted_and_limited_even_when_the_code_catches_all(open_box):
    calls = []
    box = open_box({"tool": lambda: calls.append(1)}, max_host_calls=5)
    for _ in range(2):
        calls.clear()
        with pytest.raises(LimitExceeded, match="more than 5 calls"):
            box("kept = 1\nwhile True:\n    try:\n        tool()\n    except:\n        pass")
        assert len(calls) == 5
    assert box("1").output == 1


def test_hostile_code_cannot_hand_a_live_object_to_a_tool(open_box):
    got = []
    box = open_box({"take": got.append})
    for expression in ("print", "take", "lambda: 1", "int", "open"):
        try:
            box(f"take({expression})")
        except CodeError:
            continue
    assert all(isinstance(value, str) for value in got)


def test_tools_run_in_the_thread_that_called_the_sandbox(open_box):
    threads = []
    open_box({"tool": lambda: threads.append(threading.current_thread())})("tool()")
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("search(7)", r"'query' of search\(\) must be str, not int"),
        ("search('a', '3')", r"'top_k' of search\(\) must be int or None, not str"),
        ("search(top_k=3)", r"search\(\) misses the argument 'query' \(str\)"),
    ],
)
def test_arguments_of_another_type_are_a_type_error_before_the_tool_is_called(open_box, call, message):
    tool = Search()
    tool.lock = None  # calling it would be another error
    box = open_box({"search": tool})
    with pytest.raises(CodeError, match=f"TypeError: .*{message}"):
        box(call)
    assert box(f"try:\n    {call}\nexcept TypeError as error:\n    said = 'caught'\nsaid").output == "caught"
