"""What `Mind.remember` does: read files, git histories or a text straight into the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dionysus_mcp.admin import IngestSummary, Progress
    from dionysus_mcp.settings import MemorySettings


def remember(
    settings: MemorySettings,
    paths: Sequence[str | Path],
    *,
    text: str | None,
    git: bool,
    progress: Callable[[Progress], None] | None,
) -> IngestSummary:
    """Store what the arguments name; see `Mind.remember`."""
    from dionysus_mcp import admin

    if (text is None) == (not paths):
        raise ValueError("Say what to remember: either paths, or text='…'.")
    if text is not None:
        return admin.ingest_text(text, settings)
    if missing := [str(path) for path in paths if not Path(path).exists()]:
        raise ValueError(f"There is no file or folder {', '.join(missing)}. To remember a text, give text='…'.")
    if git:
        return admin.ingest_git(paths[0], settings, progress=progress)
    return admin.ingest([Path(path) for path in paths], settings, progress=progress)
