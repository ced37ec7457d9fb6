"""Arguments are checked against a tool's schema before the tool is called."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from smolagents import Tool, tool

from sandbox.arguments import bound
from sandbox.host_tools import HostTools

GOOD = {
    "string": ["", "a"],
    "boolean": [True],
    "integer": [0, -(10**30)],
    "number": [0, 1.5, float("nan")],
    "array": [[], (1,), {1}, frozenset(), np.arange(2), pd.Series([1])],
    "object": [{}, np.arange(2), pd.DataFrame(), b"", {1}, Image.new("1", (1, 1))],
    "image": [Image.new("1", (1, 1))],
    "audio": ["path", np.zeros(3), b""],
    "any": [None, 1, "a", [], object()],
    "null": [None],
    "of a later JSON": [None, 1, "a"],
}
BAD = {
    "string": [1, None, b"a", ["a"], True],
    "boolean": [0, 1, "true", None],
    "integer": [1.0, True, "1", None, [1]],
    "number": [True, "1", None, 1j],
    "array": ["ab", {"a": 1}, 1, b"", None],
    "object": ["{}", 1, [], (1, 2), None, True],
    "image": ["a.png", b"", np.zeros((2, 2)), {}, None],
    "null": [0, "", False],
}
PYTHON = {"string": "str", "integer": "int", "number": "int or float", "array": "list", "object": "dict"}


def called(value, **schema):
    return bound("f", {"x": schema}, [value], {})["x"]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GOOD.items() for value in values])
def test_a_value_of_its_type_is_passed_on_as_it_is(kind, value):
    assert called(value, type=kind) is value
    assert called(value, type=[kind, "null"]) is value


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in BAD.items() for value in values])
def test_a_value_of_another_type_is_an_error_that_names_argument_wanted_and_given(kind, value):
    given = "None" if value is None else type(value).__name__
    with pytest.raises(TypeError) as caught:
        called(value, type=kind)
    wanted = PYTHON.get(kind, {"boolean": "bool", "image": "PIL image", "null": "None"}.get(kind))
    assert str(caught.value) == f"the argument 'x' of f() must be {wanted}, not {given}"


@pytest.mark.parametrize("kind", ["string", "integer", "array", "image"])
def test_none_is_only_for_what_may_be_left_out(kind):
    assert called(None, type=kind, nullable=True) is None
    assert bound("f", {"x": {"type": kind, "nullable": True}}, [], {}) == {}
    with pytest.raises(TypeError, match="not None"):
        called(None, type=kind)
    with pytest.raises(TypeError, match="or None, not object"):
        called(object(), type=kind, nullable=True)


def test_several_types_are_each_good():
    assert [called(value, type=["string", "integer"]) for value in ("a", 1)] == ["a", 1]
    with pytest.raises(TypeError, match="must be str or int, not float"):
        called(1.5, type=["string", "integer"])


def test_a_missing_argument_is_named_with_its_type():
    inputs = {"query": {"type": "string"}, "top_k": {"type": "integer", "nullable": True}, "n": {"default": 1}}
    with pytest.raises(TypeError, match=r"f\(\) misses the argument 'query' \(str\); it takes query, top_k, n"):
        bound("f", inputs, [], {"top_k": 1})
    assert bound("f", inputs, ["a"], {}) == {"query": "a"}


def test_a_value_that_is_not_listed_is_an_error_with_the_list():
    assert called("a", type="string", enum=["a", "b"]) == "a"
    with pytest.raises(ValueError, match="'x' of f.. must be one of 'a', 'b', not 'xxxx"):
        called("x" * 1000, type="string", enum=["a", "b"])


@pytest.mark.parametrize("schema", [None, "string", [], 7])
def test_what_is_no_schema_lets_everything_through(schema):
    assert bound("f", {"x": schema}, [1], {}) == {"x": 1}


def test_a_tool_is_not_called_with_what_it_does_not_take():
    seen = []

    @tool
    def note(text: str, times: int = 1) -> str:
        """Notes a text.

        Args:
            text: what to note
            times: how often
        """
        seen.append((text, times))
        return text

    tools = HostTools({"note": note, "free": lambda *args, **kwargs: seen.append((args, kwargs))})
    for args, kwargs in (((1,), {}), ((), {"text": "a", "times": "2"}), ((), {}), (("a", 2.5), {})):
        with pytest.raises(TypeError, match="note"):
            tools.call("note", args, kwargs)
    assert seen == []
    tools.call("note", ("a",), {"times": None})
    tools.call("note", ("a", 2), {})
    tools.call("free", (1,), {"x": None})
    assert seen == [("a", None), ("a", 2), ((1,), {"x": None})]


def test_a_tool_for_images_and_tables_takes_them():
    class Look(Tool):
        name = "look"
        description = "Looks."
        inputs = {"picture": {"type": "image", "description": "-"}, "table": {"type": "object", "description": "-"}}  # noqa: RUF012
        output_type = "string"

        def forward(self, picture, table):
            return f"{picture.size} {len(table)}"

    tools = HostTools({"look": Look()})
    assert tools.call("look", (Image.new("1", (2, 3)), pd.DataFrame({"a": [1]})), {}) == "(2, 3) 1"
    with pytest.raises(TypeError, match="'picture' of look.. must be PIL image, not str"):
        tools.call("look", ("a.png", {}), {})
