"""Administration of a memory store: taking in files, histories and texts, and saying how large it is.

Works on the store itself, not over MCP, and is safe beside running servers. Imported by `cognition` only.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.ingest.folders import files_under
from dionysus_mcp.ingest.summary import IngestSummary, Progress
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.preflight import SCHEMA_VERSION, database_path, is_new

if TYPE_CHECKING:
    from dionysus_mcp.ingest.writer import Writer

__all__ = ["IngestSummary", "Progress", "StoreStats", "ingest", "ingest_git", "ingest_text", "stats"]


class StoreStats(BaseModel):
    """How large a store is.

    Attributes:
        exists: False before anything was stored; nothing is made by asking.
        size: Bytes on disk, with what is not yet merged into the main file.
        pending: Memories without a vector of the current model.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    exists: bool
    size: int = 0
    schema_version: int = SCHEMA_VERSION
    memories: int = 0
    superseded: int = 0
    vectors: int = 0
    pending: int = 0
    by_type: dict[str, int] = {}
    mental_models: int = 0
    predictions: int = 0


def ingest(
    paths: Sequence[Path], settings: MemorySettings, *, progress: Callable[[Progress], None] | None = None
) -> IngestSummary:
    """Take in files and folders: Markdown, text, source code, JSONL.

    Idempotent: what is there already stays, what a changed file no longer says is superseded. Every batch is stored as
    it comes, so an interrupted run loses nothing that was stored, and the next one goes on. A file that is not text or
    too large is skipped, with the reason in the summary.

    Args:
        paths: Files and folders.
        settings: Of the memory.
        progress: Told how far it has come.

    Raises:
        MemoryStoreError: if a path doesn't exist or the store can't be written.
    """
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise MemoryStoreError(f"There is no file or folder {', '.join(missing)}.")
    files = list(dict.fromkeys(file for path in paths for file in (files_under(path) if path.is_dir() else [path])))

    def work(writer: "Writer") -> None:
        for number, file in enumerate(files):
            writer.report(Progress("reading", number, len(files), str(file)))
            writer.take_file(file)
        writer.report(Progress("reading", len(files), len(files)))

    return _written(settings, progress, work)


def ingest_git(
    repository: str | Path, settings: MemorySettings, *, progress: Callable[[Progress], None] | None = None
) -> IngestSummary:
    """Take in the commit messages of a git repository, each a memory with its date, author and files.

    Raises:
        MemoryStoreError: if it is no repository, has no commit, or the store can't be written.
    """
    from dionysus_mcp.ingest.documents import from_commit
    from dionysus_mcp.ingest.gitlog import commits

    def work(writer: "Writer") -> None:
        writer.take(from_commit(commit) for commit in commits(Path(repository)))

    return _written(settings, progress, work)


def ingest_text(
    text: str, settings: MemorySettings, *, progress: Callable[[Progress], None] | None = None
) -> IngestSummary:
    """Take in a text that someone told.

    Raises:
        MemoryStoreError: if it is empty or the store can't be written.
    """
    from dionysus_mcp.ingest.documents import from_text

    if not text.strip():
        raise MemoryStoreError("There is nothing to remember: the text is empty.")
    return _written(settings, progress, lambda writer: writer.take(from_text(text)))


def stats(settings: MemorySettings) -> StoreStats:
    """How large the store is; a store that doesn't exist yet is not made.

    Raises:
        MemoryStoreError: if the address or the file is not a memory store's.
    """
    path = database_path(settings.url)
    if is_new(path):
        return StoreStats(path=path, exists=False)
    from dionysus_mcp.embedding import DIMENSION, MODEL_ID
    from dionysus_mcp.store.counting import count_rows
    from dionysus_mcp.store.memories import Memories
    from dionysus_mcp.store.sqlite import Store
    from dionysus_mcp.store.vectors import Vectors

    store = Store(settings)
    try:
        by_type = Memories(store).counts()
        counted = count_rows(store)
        pending = 0 if settings.embedder == "none" else Vectors(store, MODEL_ID, DIMENSION).count_missing()
    finally:
        store.close()
    sizes = [Path(f"{path}{end}") for end in ("", "-wal", "-shm")]
    return StoreStats(
        path=path,
        exists=True,
        size=sum(file.stat().st_size for file in sizes if file.exists()),
        memories=sum(by_type.values()),
        by_type=by_type,
        pending=pending,
        **counted,
    )


def _written(
    settings: MemorySettings, progress: Callable[[Progress], None] | None, work: "Callable[[Writer], None]"
) -> IngestSummary:
    from dionysus_mcp.ingest.writer import Writer
    from dionysus_mcp.store.sqlite import Store

    store = Store(settings)
    try:
        writer = Writer(store, settings, progress or _silent)
        work(writer)
        writer.embed_rest()
        return writer.summary()
    finally:
        store.close()


def _silent(_: Progress) -> None: ...
