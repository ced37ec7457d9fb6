"""A file as the memories it holds, by its kind."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dionysus_mcp.encodable import encodable
from dionysus_mcp.ingest import jsonl, markdown
from dionysus_mcp.ingest.gitlog import Commit
from dionysus_mcp.ingest.pieces import LIMIT, Line, Piece, definitions, numbered, packed, paragraphs
from dionysus_mcp.ingest.reading import lines_of
from dionysus_mcp.store.memories import NewMemory

SPLITTER = "1"
"""Part of a file's digest: a new way of splitting takes files in anew, though they haven't changed."""

_MARKDOWN = frozenset({".md", ".markdown", ".mdx"})
_JSONL = frozenset({".jsonl", ".ndjson"})
_CODE = frozenset(
    [
        ".py",
        ".pyi",
        ".js",
        ".mjs",
        ".cjs",
        ".ts",
        ".tsx",
        ".jsx",
        ".java",
        ".kt",
        ".scala",
        ".go",
        ".rs",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".hpp",
        ".cs",
        ".rb",
        ".php",
        ".swift",
        ".m",
        ".sh",
        ".bash",
        ".zsh",
        ".ps1",
        ".sql",
        ".lua",
        ".r",
        ".jl",
        ".pl",
        ".ex",
        ".exs",
        ".erl",
        ".hs",
        ".clj",
        ".ml",
        ".fs",
        ".dart",
        ".vue",
        ".svelte",
        ".css",
        ".scss",
        ".toml",
        ".yaml",
        ".yml",
        ".ini",
        ".cfg",
        ".tf",
        ".proto",
        ".graphql",
        ".make",
        ".mk",
        ".cmake",
    ]
)
_CODE_NAMES = frozenset({"Makefile", "Dockerfile", "Justfile", "Rakefile", "CMakeLists.txt"})
_FILES_NAMED = 10
_FILES_KEPT = 50


@dataclass(frozen=True, slots=True)
class Document:
    """A file to be taken in: where it is, how it is cited, and what it is however it was named."""

    path: Path
    source: str
    origin: str

    @classmethod
    def at(cls, path: Path) -> "Document":
        """The file, cited by its path from the working directory where it lies below, else by its absolute one."""
        origin = path.resolve()
        here = Path.cwd()
        source = origin.relative_to(here) if origin.is_relative_to(here) else origin
        return cls(path, encodable(source.as_posix()), encodable(os.fspath(origin)))

    def memories(self) -> Iterator[NewMemory | jsonl.BadLine]:
        """What it holds, piece by piece."""
        lines = lines_of(self.path)
        suffix = self.path.suffix.lower()
        if suffix in _JSONL:
            return self._entries(lines)
        if suffix in _MARKDOWN:
            return self._pieces(lines, markdown.blocks, "document")
        if suffix in _CODE or self.path.name in _CODE_NAMES:
            return self._pieces(lines, definitions, "code")
        return self._pieces(lines, paragraphs, "document")

    def _pieces(
        self, lines: Iterable[Line], split: Callable[[Iterable[Line]], Iterator[Piece]], memory_type: str
    ) -> Iterator[NewMemory]:
        for piece in packed(split(lines)):
            place = f"{piece.first}-{piece.last}" if piece.last > piece.first else str(piece.first)
            metadata = {"headings": list(piece.headings)} if piece.headings else {}
            yield NewMemory(
                content=piece.content,
                memory_type=memory_type,
                metadata=metadata,
                context=" > ".join(piece.headings),
                source=self.source,
                position=place,
                origin=self.origin,
            )

    def _entries(self, lines: Iterable[Line]) -> Iterator[NewMemory | jsonl.BadLine]:
        for found in jsonl.entries(lines):
            if isinstance(found, jsonl.BadLine):
                yield found
                continue
            number, entry = found
            yield NewMemory(
                content=entry.content,
                memory_type=entry.memory_type,
                importance=entry.importance,
                metadata=entry.metadata,
                speaker=entry.speaker,
                session_id=entry.session_id,
                occurred_at=entry.occurred_at,
                source=self.source,
                position=str(number),
                origin=self.origin,
            )


def from_commit(commit: Commit) -> NewMemory:
    """A commit's message as a memory, cited as `git:` and the beginning of its hash."""
    named = ", ".join(commit.files[:_FILES_NAMED])
    return NewMemory(
        content=f"{commit.subject}\n\n{commit.body}".strip().replace("\x00", "") or "(no message)",
        memory_type="commit",
        metadata={"commit": commit.hash, "author": commit.author, "files": list(commit.files[:_FILES_KEPT])},
        context=" · ".join(filter(None, (f"commit by {commit.author}", named))),
        source=f"git:{commit.hash[:12]}",
        origin=f"git:{commit.hash}",
        occurred_at=commit.at,
    )


def from_text(text: str) -> Iterator[NewMemory]:
    """A text that someone told: whole where it is short, else in pieces."""
    if len(text) <= LIMIT:
        yield NewMemory(content=text.strip())
        return
    for piece in packed(paragraphs(numbered(text.splitlines()))):
        yield NewMemory(content=piece.content)
