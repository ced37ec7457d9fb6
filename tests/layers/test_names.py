"""What a layer calls must have one meaning: names that clash are refused before anything is spent."""

from __future__ import annotations

import pytest
from smolagents import tool

from layers.errors import LayerError
from tests.support.bench import workbench
from tests.support.scripted_model import ScriptedModel, report


@tool
def stock(part: str) -> int:
    """Count.

    Args:
        part: which.
    """
    return 1


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"legal": {"call_as": "conception", "tools": []}}, "conception.*conceptual.*legal"),
        ({"legal": {"call_as": "stock", "tools": []}}, "'stock'"),
        ({"legal": {"call_as": "lambda", "tools": []}}, "lambda.*Python"),
        ({"legal": {"call_as": "print", "tools": []}}, "print.*Python"),
        ({"legal": {"call_as": "final_answer", "tools": []}}, "final_answer"),
        ({"legal": {"call_as": "delegate", "tools": []}}, "delegate"),
        ({"conceptual": {"tools": ["stock", "stock"]}}, "stock.*twice"),
    ],
)
def test_a_name_with_two_meanings_is_refused(layers, words):
    layers = {"consciousness": {"tools": []}, **layers}
    with (
        workbench(ScriptedModel(lambda _: report("")), layers, (stock,)) as bench,
        pytest.raises(LayerError, match=words),
    ):
        bench.check()


def test_the_defaults_with_a_tool_of_ones_own_are_fine():
    with workbench(ScriptedModel(lambda _: report("")), {"conceptual": {"tools": ["stock"]}}, (stock,)) as bench:
        bench.check()


def test_two_tools_of_the_same_name_are_refused():
    from layers.toolbox import own_tools

    with pytest.raises(LayerError, match="stock"):
        own_tools([stock, stock], builtin=())
    with pytest.raises(LayerError, match="built-in"):
        own_tools([stock], builtin=("stock", "recall"))
