"""`dionysus memory consolidate`, as a user types it."""

from __future__ import annotations

import json

import pytest

from tests.cognition.command_line import Command

NOTES = [
    {"content": "I love painting at the lake.", "speaker": "Ann", "session_id": "a"},
    {"content": "Hi! I really love painting at the lake.", "speaker": "Ann", "session_id": "b"},
]
LINE = {"kind": "memory", "memory_type": "note", "importance": 0.5, "metadata": {}}


@pytest.fixture
def doubled(command: Command) -> Command:
    """A store with two memories that say the same, one of them with a letter that a terminal obeys."""
    lines = [{"kind": "header", "version": 1}]
    for number, content in enumerate(["Tea is at four.", "Tea is at 4", "Tea \x1b[31mis cold"]):
        lines.append(LINE | {"id": f"m-{number}", "content": content, "recorded_from": "2026-01-01T00:00:00Z"})
    lines.append({"kind": "end", "counts": {"memory": 3}})
    (command.folder / "notes.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert command("memory", "import", "notes.jsonl").code == 0
    return command


def memories(command: Command) -> int:
    return command("memory", "stats", "--json").json["memories"]


def test_it_tells_does_lists_and_takes_back(doubled: Command) -> None:
    told = doubled("memory", "consolidate")
    assert told.code == 0
    assert "supersede m-1: Tea is at 4" in told.out
    assert "m-0: Tea is at four." in told.out
    assert "--apply does it" in told.err
    assert (memories(doubled), doubled("memory", "consolidate", "--list").out) == (3, "No runs.\n")
    plan = doubled("memory", "consolidate", "--json").json
    assert [one["memory_id"] for one in plan["actions"] if one["kind"] == "supersede"] == ["m-1"]
    run = doubled("memory", "consolidate", "--apply", "--json").json
    assert (run["status"], run["done"]["supersede"], memories(doubled)) == ("done", 1, 2)
    assert doubled("memory", "consolidate", "--list", "--json").json[0]["id"] == run["id"]
    assert run["id"] in doubled("memory", "consolidate", "--list").out
    shown = doubled("memory", "consolidate", "--show", run["id"])
    assert "supersede m-1" in shown.out
    undone = doubled("memory", "consolidate", "--undo", run["id"])
    assert (undone.code, memories(doubled)) == (0, 3)
    assert "actions are undone" in undone.out
    assert "undone" in doubled("memory", "consolidate", "--list").out
    assert "nothing that still holds" in doubled("memory", "consolidate", "--show", run["id"]).out
    assert doubled("memory", "consolidate", "--apply").out == "There was nothing to consolidate.\n"


def test_what_fades_is_counted_and_nothing_steers_the_terminal(doubled: Command) -> None:
    unknown = doubled("memory", "consolidate", "--undo", "c-none")
    assert (unknown.code, "no consolidation run 'c-none'" in unknown.err) == (6, True)
    told = doubled("memory", "consolidate", "--apply")
    assert "memories: strong → fad" in told.out
    assert "\x1b[31m" not in told.out


def test_sessions_become_knowledge(command: Command) -> None:
    (command.folder / "talk.jsonl").write_text("".join(json.dumps(one) + "\n" for one in NOTES))
    assert command("remember", "talk.jsonl").code == 0
    told = command("memory", "consolidate", "--apply")
    assert "new semantic memory: I love painting at the lake." in told.out
    assert "1 semantic memories" in told.out
    assert command("memory", "stats", "--json").json["by_type"]["semantic"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--apply", "--list"), 2, "one of --apply"),
        (("--limit", "0"), 2, "--limit"),
        (("--project", ""), 2, "a scope has a name"),
        (("--memory", "sqlite:///none.db"), 6, "no memory store"),
    ],
)
def test_what_is_wrong_is_told(command: Command, arguments: tuple[str, ...], code: int, words: str) -> None:
    told = command("memory", "consolidate", *arguments)
    assert (told.code, words in told.err, "Traceback" in told.err) == (code, True, False), told


def test_it_shows_examples(command: Command) -> None:
    told = command("memory", "consolidate", "--help")
    assert told.code == 0
    assert "dionysus memory consolidate --undo" in told.out
