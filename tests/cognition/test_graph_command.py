"""`dionysus memory graph`, as a user types it."""

import re

import pytest

from tests.cognition.command_line import Command

NOTES = "Ann Miller works at Acme Corp.\n\nBob Miller is the brother of Ann Miller.\n"


@pytest.fixture
def noted(command: Command) -> Command:
    (command.folder / "people.md").write_text(NOTES)
    assert command("remember", "people.md").code == 0
    return command


@pytest.mark.parametrize("name", ["show", "stats", "sync", "rebuild"])
def test_each_tells_its_purpose_and_shows_examples(command: Command, name: str) -> None:
    told = command("memory", "graph", name, "--help")
    assert told.code == 0
    usage, purpose = told.out.split("\n\n")[:2]
    assert usage.startswith(f"Usage: dionysus memory graph {name}")
    assert purpose.strip()
    assert len(re.findall(rf"^ +dionysus memory graph {name}", told.out, re.M)) >= 2


def test_what_was_remembered_is_shown_as_a_tree_and_as_json(noted: Command) -> None:
    shown = noted("memory", "graph", "show", "Ann Miller")
    assert shown.code == 0
    assert "Ann Miller works_at Acme Corp" in shown.out
    assert "Bob Miller brother_of Ann Miller" in shown.out
    assert "“Ann Miller works at Acme Corp.” — people.md" in shown.out
    found = noted("memory", "graph", "show", "Ann Miller", "--type", "works_at", "--json").json
    assert [(one["subject"], one["type"], one["object"]) for one in found["relations"]] == [
        ("Ann Miller", "works_at", "Acme Corp")
    ]
    memory_id = found["relations"][0]["evidence"][0]["memory_id"]
    assert noted("memory", "graph", "show", "--memory-id", memory_id, "--json").json["start"]
    counted = noted("memory", "graph", "stats", "--json").json
    assert (counted["relations"], counted["unread"]) == (2, 0)
    assert "2 relations" in noted("memory", "stats").out
    again = noted("memory", "graph", "rebuild", "--reread", "--json").json
    assert again["read"] > 0
    assert noted("memory", "graph", "stats", "--json").json == counted


def test_an_unknown_name_is_told_with_an_exit_code(noted: Command) -> None:
    shown = noted("memory", "graph", "show", "Nobody Known")
    assert (shown.code, shown.out) == (3, "")
    assert "No entity is called 'Nobody Known'" in shown.err


def test_wrong_calls_are_told_what_to_do(noted: Command) -> None:
    assert noted("memory", "graph", "show").code == 2
    unset = noted("memory", "graph", "sync")
    assert unset.code == 2
    assert "graph_url" in unset.err
