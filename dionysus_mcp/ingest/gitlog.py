"""A repository's commit messages, one at a time."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dionysus_mcp.errors import MemoryStoreError

# Bytes that no message holds: record and unit separator.
_RECORD, _UNIT = "\x1e", "\x1f"
_FORMAT = f"{_RECORD}%H{_UNIT}%aI{_UNIT}%an{_UNIT}%s{_UNIT}%b{_UNIT}"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as its message tells it."""

    hash: str
    at: datetime
    author: str
    subject: str
    body: str
    files: tuple[str, ...]


def commits(repository: Path) -> Iterator[Commit]:
    """The commits that HEAD reaches, newest first.

    Raises:
        MemoryStoreError: if git or the repository is missing, or has no commit.
    """
    # Merges are left out: "Merge branch 'x'" says nothing that is worth recalling.
    log = ["log", "--no-merges", f"--format={_FORMAT}", "--name-only"]
    command = ["git", "-C", str(repository), "-c", "core.quotePath=off", *log]
    try:
        git = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603 -- no shell
    except OSError as error:
        raise MemoryStoreError(f"git can't be run ({error.strerror}); install it to remember a history.") from error
    with git:
        try:
            yield from _parsed(git)
        finally:
            git.kill()


def _parsed(git: "subprocess.Popen[bytes]") -> Iterator[Commit]:
    if git.stdout is None or git.stderr is None:
        raise AssertionError("both are pipes")
    pending = ""
    for line in git.stdout:
        text = line.decode("utf-8", "replace")
        if text.startswith(_RECORD) and pending:
            yield _commit(pending)
            pending = ""
        pending += text
    if pending:
        yield _commit(pending)
    if git.wait() != 0:
        said = git.stderr.read().decode("utf-8", "replace").strip()
        raise MemoryStoreError(f"The history can't be read: {said or 'git failed'}.")


def _commit(record: str) -> Commit:
    identity, when, author, subject, body, files = record.lstrip(_RECORD).split(_UNIT, 5)
    return Commit(
        hash=identity,
        at=datetime.fromisoformat(when),
        author=author,
        subject=subject,
        body=body.strip(),
        files=tuple(name for name in files.split("\n") if name),
    )
