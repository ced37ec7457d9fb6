"""The task's files are in reach of a layer that writes no code."""

from __future__ import annotations

import json

import pytest

from layers.delegation import delegate
from layers.errors import LayerError
from layers.host_tools import check_arguments
from layers.task_files import MOST_CHARACTERS, read_file_tool
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, calls, conversation, report

FILES = {"prices.csv": "apple,3\npäär,4\n".encode(), "photo.png": b"\x89PNG\xff\xfe"}


def read(files=FILES, **arguments):
    tool = read_file_tool(files)
    return tool.call(None, check_arguments(tool, (), arguments))


def worked(play, layers, files=FILES):
    model = ScriptedModel(play)
    with workbench(model, layers) as bench, opened_run() as (run, _):
        return delegate(run, bench, bench.layers["conceptual"], "How many prices?", files=files), model


def reading(request):
    """Ask for the file, then answer with what came."""
    if "päär" in conversation(request):
        return calls(("final_answer", {"answer": "two"}))
    return calls(("read_file", {"name": "prices.csv"})) if request.tools else "I write no code."


def test_a_layer_that_fell_back_to_tool_calls_reads_the_tasks_files():
    made, model = worked(reading, {"conceptual": {"tools": [], "max_steps": 5}})
    assert made.answer == "two"
    offered = [{tool.name for tool in request.tools} for request in model.requests]
    assert offered[:2] == [set(), set()]
    assert all("read_file" in names for names in offered[2:])


def test_a_tool_calling_layer_reads_them_from_the_start():
    made, _ = worked(reading, {"conceptual": {"tools": [], "agent": "tool_calling"}})
    assert made.answer == "two"


def test_without_files_and_for_code_there_is_no_such_tool():
    _, model = worked(lambda _: report("x"), {"conceptual": {"tools": []}})
    assert "read_file" not in conversation(model.requests[0])
    _, model = worked(
        lambda _: calls(("final_answer", {"answer": "x"})), {"conceptual": {"tools": [], "agent": "tool_calling"}}, {}
    )
    assert all(tool.name != "read_file" for request in model.requests for tool in request.tools)


def test_a_tool_of_the_users_own_with_that_name_stays():
    def read_file(name: str) -> str:
        """Read from somewhere else.

        Args:
            name: what.
        """
        return "päär, of my own"

    model = ScriptedModel(reading)
    layers = {"conceptual": {"tools": ["read_file"], "agent": "tool_calling"}}
    with workbench(model, layers, (read_file,)) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers["conceptual"], "x", files=FILES)
    assert "of my own" in conversation(model.requests[-1])


def test_a_long_file_is_read_in_pieces():
    text = "".join(chr(97 + n % 26) for n in range(2 * MOST_CHARACTERS + 5))
    pieces, start = [], 0
    while start is not None:
        got = read({"long.txt": text.encode()}, name="long.txt", start=start)
        pieces.append(got["text"])
        start = got["next_start"]
    assert "".join(pieces) == text
    assert len(pieces) == 3
    assert json.dumps(got)


def test_an_empty_file_and_a_mark_at_the_beginning_are_no_trouble():
    assert read({"empty": b""}, name="empty") == {"name": "empty", "text": "", "characters": 0, "next_start": None}
    assert read({"marked": b"\xef\xbb\xbfhello"}, name="marked")["text"] == "hello"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "price.csv"}, "Did you mean 'prices.csv'"),
        ({"name": "../../etc/passwd"}, "There are: photo.png, prices.csv"),
        ({"name": "photo.png"}, "no UTF-8"),
        ({"name": "prices.csv", "start": -1}, "start is -1"),
        ({"name": "prices.csv", "start": 99}, "start is 99"),
        ({"name": "prices.csv", "start": "2"}, "integer"),
        ({}, "needs the argument 'name'"),
    ],
)
def test_what_can_not_be_read_is_told(arguments, words):
    with pytest.raises(LayerError, match=words):
        read(**arguments)
