"""`dionysus memory stats | export | import | verify | backup | reembed | purge`: looking after the store."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode
from cognition.cli.graph import graph_lines
from cognition.cli.progress import bar
from cognition.cli.scopes import Project, Tenant, User, scoped

if TYPE_CHECKING:
    from dionysus_mcp.upkeep.purge import PurgeSummary
    from dionysus_mcp.upkeep.verify import Check

PURGE_EXAMPLES = examples(
    "dionysus memory purge m-0123456789abcdef",
    "dionysus memory purge --session q4 --source notes.md --yes",
    "dionysus memory purge --all --project old --yes",
)


def add_to(memory: typer.Typer) -> None:
    """Give `dionysus memory` its commands for the store."""
    of = {
        stats: ("stats", examples("dionysus memory stats", "dionysus memory stats --project support --json")),
        export: ("export", examples("dionysus memory export notes.jsonl", "dionysus memory export | gzip > notes.gz")),
        take: ("import", examples("dionysus memory import notes.jsonl", "dionysus memory import - --project copy")),
        verify: ("verify", examples("dionysus memory verify", "dionysus memory verify --repair")),
        backup: ("backup", examples("dionysus memory backup monday.db", "dionysus memory backup copy.db --json")),
        reembed: ("reembed", examples("dionysus memory reembed", "dionysus memory reembed --project support")),
        purge: ("purge", PURGE_EXAMPLES),
    }
    for command, (name, epilog) in of.items():
        memory.command(name, epilog=epilog)(command)


def stats(
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Show how much is remembered, and how large the store is."""
    from cognition.cli.output import emit, render
    from dionysus_mcp import admin

    found = admin.stats(scoped(config, memory, tenant, project, user))
    if as_json:
        emit(found.model_dump(mode="json"))
    elif not found.exists:
        render(f"{found.address}: nothing is remembered yet")
    else:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.by_type.items())
        render(
            f"{found.address}: {found.size / 1e6:,.1f} MB, schema {found.schema_version}",
            f"{found.memories:,} memories{f' ({kinds})' if kinds else ''}, {found.superseded:,} earlier versions",
            f"{found.vectors:,} vectors, {found.pending:,} memories wait for one",
            f"{found.mental_models:,} mental models, {found.predictions:,} predictions",
            f"{found.recalled:,} memories were recalled, {found.fading:,} are fading, {found.faded:,} faded",
            *(graph_lines(found.graph) if found.graph else ()),
        )
    return ExitCode.DONE


def export(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="A new file; - is stdout.")] = Path("-"),
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Write all that is remembered as JSON lines: memories with their history, beliefs, predictions, files read."""
    from cognition.cli.output import emit
    from dionysus_mcp import admin

    to_stdout = file == Path("-")
    settings = scoped(config, memory, tenant, project, user)
    written = 0
    with bar(silent=quiet or as_json or to_stdout) as progress, _new_file(file) as stream:
        for line in admin.export_lines(settings, progress):
            stream.write(line)
            written += 1
    if as_json and not to_stdout:
        emit({"file": str(file), "lines": written})
    elif not (quiet or to_stdout):
        typer.echo(f"{written:,} lines written to {file}")
    return ExitCode.DONE


def take(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `dionysus memory export`; - is stdin.")],
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Store what an export tells; what is there already stays, so the same file again changes nothing."""
    from cognition.cli.output import emit
    from dionysus_mcp import admin

    settings = scoped(config, memory, tenant, project, user)
    with bar(silent=quiet or as_json) as progress, _lines_of(file) as lines:
        done = admin.import_lines(lines, settings, progress)
    if as_json:
        emit(done.model_dump())
    elif not quiet:
        added = ", ".join(f"{count:,} {kind}" for kind, count in done.added.items()) or "nothing"
        typer.echo(f"Added: {added}. Present already: {sum(done.present.values()):,}.")
    return ExitCode.DONE


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Set right what can be worked out anew.")] = False,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Check that the store is sound, all scopes of it; exit code 1 if it isn't."""
    from cognition.cli.output import emit, render
    from dionysus_mcp import admin

    settings = scoped(config, memory)
    with bar(silent=quiet or as_json) as progress:
        found = admin.verify(settings, progress, repair=repair)
    if as_json:
        emit(found.model_dump())
    elif not quiet:
        render(*(line for check in found.checks for line in _told(check)))
    return ExitCode.DONE if found.sound else ExitCode.FAILED


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Copy the store, all scopes of it, while others use it; the copy is checked. It is a store itself."""
    from cognition.cli.output import emit
    from dionysus_mcp import admin

    settings = scoped(config, memory)
    with bar(silent=quiet or as_json) as progress:
        done = admin.back_up(settings, file, progress)
    if as_json:
        emit(done.model_dump(mode="json"))
    elif not quiet:
        typer.echo(f"{done.path}: {done.memories:,} memories, {done.size / 1e6:,.1f} MB, checked")
    return ExitCode.DONE


def reembed(
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Give vectors of the current model to what has none, and drop those of other models; servers may go on."""
    from cognition.cli.output import emit
    from dionysus_mcp import admin

    settings = scoped(config, memory, tenant, project, user)
    with bar(silent=quiet or as_json) as progress:
        done = admin.reembed(settings, progress)
    if as_json:
        emit(done.model_dump())
    elif not quiet:
        typer.echo(f"{done.embedded:,} memories embedded with {done.model}, {done.dropped:,} other vectors dropped")
    return ExitCode.DONE


def purge(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Of memories.")] = None,
    sessions: Annotated[
        list[str] | None, typer.Option("--session", metavar="NAME", help="All memories of a session.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--source", metavar="NAME", help="All memories of a source, such as a file.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the user, or all that is shared.")] = False,
    versions: Annotated[bool, typer.Option("--versions", help="Also all other versions of these memories.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it; without this it is only told.")] = False,
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Delete memories for good, and erase them from the file; tells what would go unless --yes is given.

    Traces, exports and backups are other files: they are not touched.
    """
    from cognition.cli.output import emit, notice
    from dionysus_mcp import admin

    if not (ids or sessions or sources or everything):
        raise typer.BadParameter("name ids, --session, --source, or --all", param_hint="ID")
    done = admin.purge(
        scoped(config, memory, tenant, project, user),
        ids=ids or (),
        sessions=sessions or (),
        sources=sources or (),
        everything=everything,
        versions=versions,
        trial=not yes,
    )
    if as_json:
        emit(done.model_dump())
    elif not quiet:
        for line in _purged(done):
            notice(line) if line.startswith("Note") else typer.echo(line)
    return ExitCode.FAILED if done.notice else ExitCode.DONE


@contextlib.contextmanager
def _new_file(path: Path) -> Generator[TextIO]:
    """Standard output, or a file that only its owner can read, and that is there as a whole or not at all."""
    if path == Path("-"):
        yield sys.stdout
        return
    if path.exists():
        raise typer.BadParameter(f"{path} exists already; name a new file", param_hint="FILE")
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            yield stream
        partial.rename(path)
    except OSError as error:
        # A full disk names no file, and nobody knows the one that we write to meanwhile.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _lines_of(path: Path) -> Generator[Iterable[bytes]]:
    if path == Path("-"):
        yield _bounded(sys.stdin.buffer.readline)
    elif not path.is_file():
        raise typer.BadParameter(f"there is no file {path}", param_hint="FILE")
    else:
        with path.open("rb") as stream:
            yield _bounded(stream.readline)


def _bounded(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Lines, the longest cut: a file without line feeds must not fill the memory."""
    from dionysus_mcp.upkeep.lines import LONGEST

    return iter(lambda: read(LONGEST + 1), b"")


def _told(check: "Check") -> list[str]:
    if not check.problems:
        return [f"{check.name}: sound"]
    if check.repaired:
        return [f"{check.name}: {check.detail}; repaired"]
    return [f"{check.name}: {check.detail}", *([f"  {check.advice}"] if check.advice else [])]


def _purged(done: "PurgeSummary") -> Iterator[str]:
    counts: dict[str, Any] = {
        "memories": done.memories,
        "mental models": done.mental_models,
        "predictions": done.predictions,
        "files read": done.files,
    }
    what = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing"
    yield f"Purged: {what}." if done.done else f"Would purge: {what}. Nothing was changed; --yes does it, for good."
    for name in ("session", "source"):
        for one in getattr(done, f"{name}s"):
            yield f"Note: there is no memory of the {name} {one!r}"
    if done.other_versions:
        yield f"Note: {done.other_versions:,} other versions of these memories stay; --versions takes them too"
    if done.notice:
        yield f"Note: {done.notice}"
