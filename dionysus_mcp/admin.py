"""Administration of a memory store: taking in files, histories and texts, and looking after what is there.

Works on the store itself, not over MCP, and is safe beside running servers. Imported by `cognition` only.
"""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from dionysus_mcp.errors import MemoryStoreError, NoStoreYet
from dionysus_mcp.graph.records import GraphStats
from dionysus_mcp.ingest.folders import files_under
from dionysus_mcp.ingest.summary import IngestSummary, Progress
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.preflight import SCHEMA_VERSION, database_path, is_postgres, shown

if TYPE_CHECKING:
    from dionysus_mcp.ingest.writer import Writer
    from dionysus_mcp.store.access import Store
    from dionysus_mcp.upkeep.backup import BackupSummary
    from dionysus_mcp.upkeep.importing import ImportSummary
    from dionysus_mcp.upkeep.purge import PurgeSummary
    from dionysus_mcp.upkeep.reembed import ReembedSummary
    from dionysus_mcp.upkeep.verify import Verification

__all__ = [
    "IngestSummary",
    "Progress",
    "StoreStats",
    "back_up",
    "export_lines",
    "import_lines",
    "ingest",
    "ingest_git",
    "ingest_text",
    "purge",
    "reembed",
    "shown",
    "stats",
    "verify",
]


class StoreStats(BaseModel):
    """How large a store is.

    Attributes:
        address: The file, or the host and database.
        path: The file, where one is the store.
        exists: False before anything was stored; nothing is made by asking.
        size: Bytes on disk, with what is not yet merged into the main file.
        pending: Memories without a vector of the current model.
        recalled: Memories that were recalled at least once.
        fading: Those whose retention was below .7 when they were consolidated last; below .4 they are `faded`.
    """

    model_config = ConfigDict(frozen=True)

    address: str
    path: Path | None = None
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
    recalled: int = 0
    fading: int = 0
    faded: int = 0
    graph: GraphStats | None = None


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
    path = None if is_postgres(settings.url) else database_path(settings.url)
    from dionysus_mcp.embedding import DIMENSION, MODEL_ID
    from dionysus_mcp.graph.upkeep import counted_graph
    from dionysus_mcp.store.access import Store
    from dionysus_mcp.store.counting import count_rows
    from dionysus_mcp.store.memories import Memories
    from dionysus_mcp.store.vectors import Vectors

    try:
        store = Store(settings, make=False)
    except NoStoreYet as error:
        return StoreStats(address=error.name, path=path, exists=False)
    try:
        by_type = Memories(store).counts()
        counted = count_rows(store)
        pending = 0 if settings.embedder == "none" else Vectors(store, MODEL_ID, DIMENSION).count_missing()
        size = store.size()
        graph = counted_graph(store, settings)
    finally:
        store.close()
    return StoreStats(
        address=store.name,
        path=path,
        exists=True,
        size=size,
        memories=sum(by_type.values()),
        by_type=by_type,
        pending=pending,
        graph=graph,
        **counted,
    )


def export_lines(settings: MemorySettings, progress: Callable[[Progress], None] | None = None) -> Iterator[str]:
    """The scope as JSON lines: memories with all versions, beliefs, predictions, which files were read.

    Raises:
        MemoryStoreError: if there is no store, or it can't be read.
    """
    from dionysus_mcp.upkeep import exporting

    report = progress or _silent
    with _existing(settings) as store:
        yield from exporting.export_lines(store, lambda done, total: report(Progress("writing", done, total)))


def import_lines(
    lines: Iterable[bytes], settings: MemorySettings, progress: Callable[[Progress], None] | None = None
) -> "ImportSummary":
    """Store what an export tells in the scope of the settings; what is there already stays.

    Raises:
        MemoryStoreError: naming the line that is wrong, or if the store can't be written.
    """
    from dionysus_mcp.store.access import Store
    from dionysus_mcp.upkeep.importing import Import

    report = progress or _silent
    with contextlib.closing(Store(settings)) as store:
        return Import(store, settings.max_content, lambda done: report(Progress("reading", done, None))).take(lines)


def verify(
    settings: MemorySettings, progress: Callable[[Progress], None] | None = None, *, repair: bool = False
) -> "Verification":
    """Check all that must hold within the file; `repair` sets right what can be worked out anew.

    Raises:
        MemoryStoreError: if there is no store, or it can't be read at all.
    """
    from dionysus_mcp.graph.upkeep import mirror_check
    from dionysus_mcp.upkeep import verify as checking

    report = progress or _silent
    with _existing(settings) as store:
        found = checking.verify(
            store, lambda done, total, name: report(Progress("checking", done, total, name)), repair=repair
        )
        mirror = mirror_check(store, settings) if found.sound else None  # nothing is compared with what is damaged
    if mirror is None:
        return found
    return checking.Verification(sound=found.sound and not mirror.problems, checks=[*found.checks, mirror])


def back_up(
    settings: MemorySettings, target: Path, progress: Callable[[Progress], None] | None = None
) -> "BackupSummary":
    """Copy the store, with all its scopes, into a new file while others go on to use it.

    Raises:
        MemoryStoreError: if there is no store, the file exists or can't be written, or the copy isn't sound.
    """
    from dionysus_mcp.upkeep import backup

    report = progress or _silent
    with _existing(settings) as store:
        return backup.back_up(store, target, lambda done, total: report(Progress("copying", done, total)))


def reembed(settings: MemorySettings, progress: Callable[[Progress], None] | None = None) -> "ReembedSummary":
    """Give vectors of the current model to what has none, and drop those of other models.

    Raises:
        EmbedderError: if there is no model.
        MemoryStoreError: if there is no store, or it can't be written.
    """
    from dionysus_mcp.upkeep import reembed as embedding

    report = progress or _silent
    with _existing(settings) as store:
        return embedding.reembed(store, settings, lambda done, total: report(Progress("embedding", done, total)))


def purge(
    settings: MemorySettings,
    *,
    ids: Sequence[str] = (),
    sessions: Sequence[str] = (),
    sources: Sequence[str] = (),
    everything: bool = False,
    versions: bool = False,
    trial: bool = True,
) -> "PurgeSummary":
    """Delete for good, and erase from the file; nothing brings it back. See `upkeep.purge.Selection`.

    Args:
        settings: Of the memory; they name the scope.
        ids: Of memories.
        sessions: With all their memories.
        sources: With all their memories.
        everything: The whole scope.
        versions: Also all other versions of what was named.
        trial: Only count what would go.

    Raises:
        MemoryStoreError: if there is no store, nothing or an unknown id was named, or the store can't be written.
    """
    from dionysus_mcp.upkeep.purge import Purge, Selection

    selection = Selection(ids, sessions, sources, everything=everything, versions=versions)
    with _existing(settings) as store:
        one = Purge(store, selection)
        return one.trial() if trial else one.run()


def opened(settings: MemorySettings) -> "AbstractContextManager[Store]":
    """The store for administration that has a module of its own; it is not made by asking for it.

    Raises:
        MemoryStoreError: if there is none, or it can't be opened.
    """
    return _existing(settings)


@contextlib.contextmanager
def _existing(settings: MemorySettings) -> "Generator[Store]":
    """The store, which is not made by asking for it."""
    from dionysus_mcp.store.access import Store

    with contextlib.closing(Store(settings, make=False)) as store:
        yield store


def _written(
    settings: MemorySettings, progress: Callable[[Progress], None] | None, work: "Callable[[Writer], None]"
) -> IngestSummary:
    from dionysus_mcp.ingest.writer import Writer
    from dionysus_mcp.store.access import Store

    store = Store(settings)
    try:
        writer = Writer(store, settings, progress or _silent)
        work(writer)
        writer.embed_rest()
        return writer.summary()
    finally:
        store.close()


def _silent(_: Progress) -> None: ...
