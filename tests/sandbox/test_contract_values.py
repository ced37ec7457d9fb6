"""Values across the boundary: plain ones arrive as they were, hostile ones are a clean error."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import CodeError, SandboxError

scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=20)
hashable = scalars | st.binary(max_size=20) | st.tuples(scalars, scalars)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
    ),
    max_leaves=20,
)


def same(a, b):
    """Equal, with equal types all the way down (1, 1.0 and True are equal in Python)."""
    if type(a) is not type(b) or a != b:
        return False
    if isinstance(a, dict):
        return all(same(x, y) and same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if isinstance(a, list | tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return True


@settings(suppress_health_check=[*settings().suppress_health_check, HealthCheck.function_scoped_fixture])
@given(value=values)
def test_every_plain_value_comes_back_as_it_was(shared_box, value):
    box, came = shared_box
    box.send_variables({"value": value})
    assert same(box("value").output, value)
    assert same(box("give(value)").output, value)
    assert same(came[-1], value)


@pytest.fixture
def shared_box(open_box):
    came = []

    def give(value):
        came.append(value)
        return value

    return open_box({"give": give}), came


def test_not_a_number_and_infinities_stay_floats(open_box):
    box = open_box({"give": lambda: [math.nan, math.inf, -math.inf]})
    nan, positive, negative = box("give()").output
    assert math.isnan(nan)
    assert (positive, negative) == (math.inf, -math.inf)
    assert math.isnan(box("float('nan')").output)


def test_lone_surrogates_become_replacement_characters(open_box):
    box = open_box({"give": lambda: "a\ud800b"})
    assert "\ufffd" in box("give()").output
    assert box("'\\ud800'").output.encode()
    assert box("print('\\ud800')").logs.encode()


def cyclic():
    loop = []
    loop.append(loop)
    return loop


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        cyclic,
        lambda: {"a": {"b": cyclic()}},
        lambda: deep(65),
        lambda: deep(100_000),
        lambda: 10**5000,
        lambda: [10**5000],
        lambda: {1: -(10**5000)},
        lambda: "x" * 40_000_000,
        lambda: b"x" * 40_000_000,
        lambda: list(range(5_000_000)),
        lambda: {"a": ["x" * 1_000_000] * 10},
    ],
)
def test_a_hostile_result_of_a_tool_is_a_clean_error_and_the_next_step_works(open_box, make):
    box = open_box({"tool": make})
    with pytest.raises(CodeError):
        box("tool()")
    box("try:\n    tool()\nexcept Exception as e:\n    caught = str(e)")
    assert box("len(caught) > 10 and len(caught) < 1000").output is True


class Liar:
    """Raises from whatever is asked of it."""

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError


class LoudText(str):
    def __str__(self):
        raise RuntimeError


class BrokenDict(dict):
    def items(self):
        raise RuntimeError("no items")


@pytest.mark.parametrize("make", [Liar, lambda: [Liar()], lambda: BrokenDict(a=1)])
def test_an_object_that_fights_back_is_a_clean_error(open_box, make):
    box = open_box({"tool": make})
    with pytest.raises(CodeError):
        box("tool()")
    assert box("1").output == 1


def test_a_subclass_of_text_arrives_as_text(open_box):
    assert open_box({"tool": lambda: LoudText("plain")})("tool()").output == "plain"


HOSTILE_IN_THE_CODE = {
    "cyclic list": "v = []\nv.append(v)",
    "cyclic dict": "v = {}\nv['v'] = v",
    "deep list": "v = []\nfor _ in range(100000): v = [v]",
    "deep dict": "v = {}\nfor _ in range(2000): v = {'a': v}",
    "huge int": "v = 10 ** 5000",
    "huge int in a list": "v = [10 ** 5000]",
    "huge text": "v = 'x' * 30000000",
    "many items": "v = [0] * 2000000",
    "more items than fit twice": "v = [0] * 10000000",
    "shared often": "v = ['x' * 1000]\nfor _ in range(15): v = [v, v]",
    "shared many times": "v = ['x' * 1000]\nfor _ in range(20): v = [v, v]",
    "function": "v = lambda: v",
    "builtin": "v = print",
    "class": "class A: pass\nv = A",
    "instance with a cycle": "class A: pass\nv = A()\nv.me = v",
}


@pytest.mark.parametrize("code", HOSTILE_IN_THE_CODE.values(), ids=HOSTILE_IN_THE_CODE.keys())
def test_a_hostile_value_of_the_code_harms_neither_output_nor_tool_nor_answer(open_box, code):
    box = open_box({"take": lambda value: str(value)[:10]})
    for use in ("v", "take(v)", "take(value=v)", "[v]", "final_answer(v)"):
        try:
            said = str(box(f"{code}\n{use}").output)
        except SandboxError as error:
            said = str(error)
        assert len(said) < 6_000_000
        assert box("1 + 1").output == 2


def test_a_value_too_large_for_the_boundary_can_still_be_used_inside(box):
    box("v = list(range(2000000))")
    assert box("sum(v)").output == 1999999000000
