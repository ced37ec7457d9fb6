"""`dionysus remember`: read files, folders or git histories into memory."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode
from cognition.cli.progress import bar

if TYPE_CHECKING:
    from cognition.settings import Settings
    from dionysus_mcp.admin import IngestSummary, Progress


EXAMPLES = examples(
    "dionysus remember docs/ README.md",
    "dionysus remember --git .",
    "dionysus remember chat.jsonl --memory sqlite:///notes.db --json",
)


def remember(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files and folders; repositories with --git.")],
    git: Annotated[bool, typer.Option("--git", help="Read the commit messages of the repositories instead.")] = False,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Read Markdown, text, source files, JSONL and folders of them into memory; what is there already stays.

    A changed file replaces its old pieces.
    """
    from cognition.cli.output import emit, notices

    settings = options.settings_from(config, memory=memory)
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise typer.BadParameter(f"there is no file or folder {', '.join(missing)}", param_hint="PATH")
    with bar(silent=quiet or as_json) as progress:
        summaries = _ingested(settings, paths, progress, git=git)
    total = _total(summaries)
    notices(total["notices"], quiet=quiet)
    emit(total) if as_json else _show(total, quiet=quiet)
    return ExitCode.FAILED if _named_was_skipped(total, paths) else ExitCode.DONE


def _ingested(
    settings: "Settings", paths: list[Path], progress: "Callable[[Progress], None] | None", *, git: bool
) -> "list[IngestSummary]":
    from dionysus_mcp import admin

    if git:
        return [admin.ingest_git(path, settings.memory, progress=progress) for path in paths]
    return [admin.ingest(paths, settings.memory, progress=progress)]


def _total(summaries: "list[IngestSummary]") -> dict[str, Any]:
    return {
        "added": sum(summary.added for summary in summaries),
        "unchanged": sum(summary.unchanged for summary in summaries),
        "superseded": sum(summary.superseded for summary in summaries),
        "notices": list(dict.fromkeys(summary.notice for summary in summaries if summary.notice)),
        "skipped": [{"path": str(path), "reason": reason} for summary in summaries for path, reason in summary.skipped],
    }


def _named_was_skipped(total: dict[str, Any], paths: list[Path]) -> bool:
    """Whether something that was named could not be read: a script should notice that.

    A folder may hold what is no text, as long as something in it could be read.
    """
    if not total["skipped"]:
        return False
    files = {str(path.resolve()) for path in paths if not path.is_dir()}
    named = any(str(Path(each["path"]).resolve()) in files for each in total["skipped"])
    return named or not (total["added"] or total["unchanged"] or total["superseded"])


def _show(total: dict[str, Any], *, quiet: bool) -> None:
    from cognition.cli.output import notice

    for each in total["skipped"]:
        notice(f"Skipped {each['path']}: {each['reason']}")
    if not quiet:
        typer.echo(
            f"{total['added']} memories added, {total['unchanged']} unchanged, {total['superseded']} superseded,"
            f" {len(total['skipped'])} files skipped"
        )
