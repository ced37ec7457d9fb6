"""`dionysus memory stats | export | import | verify | backup | reembed | purge`, as a user types them."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import time

import pytest

from tests.cognition.command_line import Command

UPKEEP = ("stats", "export", "import", "verify", "backup", "reembed", "purge")


@pytest.mark.parametrize("name", UPKEEP)
def test_each_tells_its_purpose_and_shows_examples(command: Command, name: str) -> None:
    told = command("memory", name, "--help")
    assert told.code == 0
    usage, purpose = told.out.split("\n\n")[:2]
    assert usage.startswith(f"Usage: dionysus memory {name}")
    assert purpose.strip()
    assert len(re.findall(rf"^ +dionysus memory {name}", told.out, re.M)) >= 2


def test_a_store_is_moved_checked_copied_and_purged(remembered: Command) -> None:
    held = remembered("memory", "stats", "--json").json
    assert held["memories"] == held["vectors"] == 2
    assert "2 memories (2 document)" in remembered("memory", "stats").out
    assert remembered("memory", "export", "notes.jsonl", "--json").json == {"file": "notes.jsonl", "lines": 5}
    assert (remembered.folder / "notes.jsonl").stat().st_mode & 0o777 == 0o600
    lines = remembered("memory", "export").out
    assert lines == (remembered.folder / "notes.jsonl").read_text()
    copied = remembered("memory", "import", "-", "--project", "copy", stdin=lines)
    assert copied.out == "Added: 2 memory, 1 file. Present already: 0.\n"
    assert remembered("memory", "reembed", "--project", "copy", "--json").json["embedded"] == 2
    assert remembered("memory", "backup", "copy.db", "--json").json["memories"] == 4
    trial = remembered("memory", "purge", "--all")
    assert trial.code == 0
    assert "Would purge: 2 memories, 1 files read" in trial.out
    gone = remembered("memory", "purge", "--source", "queue.md", "--source", "none.md", "--yes")
    assert (gone.code, gone.out) == (0, "Purged: 2 memories, 1 files read.\n")
    assert "no memory of the source 'none.md'" in gone.err
    sound = remembered("memory", "verify", "--json")
    assert (sound.code, sound.json["sound"]) == (0, True)
    assert remembered("memory", "stats", "--json").json["memories"] == 0
    assert remembered("memory", "stats", "--json", "--memory", "sqlite:///copy.db").json["memories"] == 2


def test_what_is_wrong_is_told_with_what_to_do_and_an_exit_code(remembered: Command) -> None:
    with sqlite3.connect(remembered.home / "memory.db") as connection:
        connection.execute("INSERT INTO memory_fts(rowid, content) VALUES (77, 'ghost')")
    connection.close()
    found = remembered("memory", "verify")
    assert found.code == 1
    assert "text index: it is out of step" in found.out
    assert "`dionysus memory verify --repair`" in found.out
    repaired = remembered("memory", "verify", "--repair")
    assert repaired.code == 0
    assert "repaired" in repaired.out
    (remembered.folder / "cut.jsonl").write_text(remembered("memory", "export").out.rpartition('{"kind":"end"')[0])
    cut = remembered("memory", "import", "cut.jsonl")
    assert (cut.code, "so it was cut" in cut.err) == (6, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("purge",), "name ids"),
        (("purge", "--all", "--project", ""), "a scope has a name"),
        (("import", "none.jsonl"), "there is no file"),
        (("export", "there.jsonl"), "exists already"),
    ],
)
def test_wrong_usage_is_told(command: Command, arguments: tuple[str, ...], words: str) -> None:
    (command.folder / "there.jsonl").write_text("precious")
    told = command("memory", *arguments)
    assert (told.code, words in told.err) == (2, True), told
    assert (command.folder / "there.jsonl").read_text() == "precious"


def test_an_unknown_id_and_a_store_that_is_not_there_are_told(remembered: Command) -> None:
    unknown = remembered("memory", "purge", "m-none", "--yes")
    assert (unknown.code, "Unknown memory ids: 'm-none'" in unknown.err) == (6, True)
    missing = remembered("memory", "export", "x.jsonl", "--memory", "sqlite:///none.db")
    assert (missing.code, "no memory store" in missing.err) == (6, True)
    assert not (remembered.folder / "none.db").exists()
    assert not list(remembered.folder.glob("x.jsonl*"))
    nowhere = remembered("memory", "export", "no/folder.jsonl")
    assert (nowhere.code, "no/folder.jsonl" in nowhere.err, "partial" in nowhere.err) == (1, True, False), nowhere


def test_ctrl_c_in_an_import_keeps_what_came_before_and_the_next_one_goes_on(command: Command) -> None:
    line = {"kind": "memory", "memory_type": "note", "importance": 0.5, "metadata": {}}
    line["recorded_from"] = "2024-01-01T00:00:00Z"
    total = 30_000
    lines = [{"kind": "header", "version": 1}]
    lines += [line | {"id": f"m-{number}", "content": f"Note {number}."} for number in range(total)]
    lines += [{"kind": "end", "counts": {"memory": total}}]
    (command.folder / "notes.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    process = command.start("memory", "import", "notes.jsonl")
    until = time.monotonic() + 60
    while _count(command) < 200 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False)
    assert 200 <= _count(command) < total
    assert command("memory", "verify", "-q").code == 0
    assert command("memory", "import", "notes.jsonl", "-q").code == 0
    assert _count(command) == total


def _count(command: Command) -> int:
    path = command.home / "memory.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute("SELECT count(*) FROM memory").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # its tables are being made
    finally:
        connection.close()
