"""`dionysus memory consolidate`: what is said twice is kept once, what is said again and again becomes knowledge."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode
from cognition.cli.progress import bar
from cognition.cli.scopes import Project, Tenant, User, scoped

if TYPE_CHECKING:
    from dionysus_mcp.consolidation.actions import Action, Plan, Run

EXAMPLES = examples(
    "dionysus memory consolidate",
    "dionysus memory consolidate --apply",
    "dionysus memory consolidate --list",
    "dionysus memory consolidate --undo c-0123456789",
)
_SHOWN = 50
_WIDTH = 90
_NAMES = {
    "supersede": "superseded by one that says the same",
    "retire": "semantic memories without a source",
    "extract": "semantic memories",
    "link": "linked as similar",
    "fade": "come to another band of retention",
}


def consolidate(
    apply: Annotated[bool, typer.Option("--apply", help="Do it; without this it is only told.")] = False,
    undo: Annotated[str | None, typer.Option("--undo", metavar="RUN", help="Take back what a run did.")] = None,
    show: Annotated[str | None, typer.Option("--show", metavar="RUN", help="Show what a run did.")] = None,
    list_runs: Annotated[bool, typer.Option("--list", help="List the runs.")] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Most actions; else that of [consolidation].")
    ] = None,
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Tell what could be consolidated; --apply does it.

    A memory is superseded where another one says all it says; what several sessions state becomes a semantic memory
    beside them. Nothing is deleted, and every run can be undone.
    """
    if sum((apply, undo is not None, show is not None, list_runs)) > 1:
        raise typer.BadParameter("give one of --apply, --undo, --show and --list", param_hint="--apply")
    from dionysus_mcp.consolidation import administration as admin

    settings = options.settings_from(config, memory=memory)
    where = scoped(config, memory, tenant, project, user), settings.consolidation
    if list_runs:
        return _list(admin.runs(*where), as_json=as_json)
    if show is not None:
        return _tell(admin.actions(*where, show), as_json=as_json)
    with bar(silent=quiet or as_json) as progress:
        if undo is not None:
            return _undone(admin.undo(*where, progress, undo), as_json=as_json, quiet=quiet)
        if apply:
            return _applied(*admin.run(*where, progress, limit), as_json=as_json, quiet=quiet)
        plan = admin.plan(*where, progress, limit)
    return _planned(plan, as_json=as_json, quiet=quiet)


def _planned(plan: "Plan", *, as_json: bool, quiet: bool) -> int:
    from cognition.cli.output import emit, render

    if as_json:
        emit(plan.model_dump(mode="json"))
        return ExitCode.DONE
    if plan.actions and not quiet:
        render(*_rows(plan.actions))
    for one in plan.dropped:
        _note(f"refused what the model wrote: {one.reason}: {one.claim}")
    render(_sum("Would be", plan.actions, plan.examined))
    if plan.left_out:
        _note(f"{plan.left_out:,} more actions are left for another run; --limit says how many are done at once")
    if plan.actions:
        _note("nothing was changed; --apply does it, and --undo takes it back")
    return ExitCode.DONE


def _applied(plan: "Plan", run: "Run", *, as_json: bool, quiet: bool) -> int:
    from cognition.cli.output import emit, render

    if as_json:
        emit(
            run.model_dump(mode="json") | {"left_out": plan.left_out, "dropped": [d.model_dump() for d in plan.dropped]}
        )
        return ExitCode.DONE
    skipped = {one.action.memory_id for one in run.skipped if one.action.memory_id}
    done = [one for one in plan.actions if one.memory_id is None or one.memory_id not in skipped]
    if done and not quiet:
        render(*_rows(done))
    _skipped(run, "not done")
    render(_sum(f"{run.id}:", done, plan.examined) if done else "There was nothing to consolidate.")
    if done:
        _note(f"`dionysus memory consolidate --undo {run.id}` takes it back")
    return ExitCode.DONE


def _undone(run: "Run", *, as_json: bool, quiet: bool) -> int:
    from cognition.cli.output import emit, render

    if as_json:
        emit(run.model_dump(mode="json"))
    elif not quiet:
        _skipped(run, "not undone")
        render(f"{run.id}: {run.undone:,} of {sum(run.done.values()):,} actions are undone.")
    return ExitCode.DONE


def _list(found: "Sequence[Run]", *, as_json: bool) -> int:
    from cognition.cli.output import emit, render

    if as_json:
        emit([one.model_dump(mode="json", exclude={"skipped"}) for one in found])
        return ExitCode.DONE
    if not found:
        render("No runs.")
        return ExitCode.DONE
    table = _table("run", "began", "status", "what")
    for one in found:
        what = ", ".join(f"{count:,} {kind}" for kind, count in one.done.items())
        table.add_row(one.id, f"{one.started_at:%Y-%m-%d %H:%M} UTC", one.status, what)
    render(table)
    return ExitCode.DONE


def _tell(actions: "Sequence[Action]", *, as_json: bool) -> int:
    from cognition.cli.output import emit, render

    if as_json:
        emit([one.model_dump(mode="json") for one in actions])
    else:
        render(*(_rows(actions, len(actions)) if actions else ["It did nothing that still holds."]))
    return ExitCode.DONE


def _rows(actions: "Sequence[Action]", most: int = _SHOWN) -> Iterator[Any]:
    """A table of what changes memories; what fades is only counted."""
    shown = [one for one in actions if one.kind != "fade"]
    if shown:
        table = _table("what", "why", "similarity")
        for one in shown[:most]:
            table.add_row(*_row(one))
        yield table
    if len(shown) > most:
        yield f"… and {len(shown) - most:,} more; --json has them all"
    bands = Counter((one.before, one.after) for one in actions if one.kind == "fade")
    for (before, after), count in bands.items():
        yield f"{count:,} memories: {before} → {after}"


def _row(one: "Action") -> tuple[str, str, str]:
    from cognition.cli.output import one_line

    said = one_line(one.content, _WIDTH)
    if one.kind == "supersede":
        words = f" (spelt otherwise: {', '.join(one.differing)})" if one.differing else ""
        return (
            f"supersede {one.memory_id}: {said}",
            f"{one.survivor_id}: {one_line(one.survivor, _WIDTH)}{words}",
            _two(one.similarity),
        )
    if one.kind == "link":
        return (
            f"link {one.memory_id}: {said}",
            f"{one.other_id} {_differs(one.differing)}",
            _two(one.similarity),
        )
    if one.kind == "extract":
        sources = ", ".join(quote.memory_id for quote in one.sources)
        return f"new semantic memory: {said}", f"stated in {len(one.sources)}: {sources}", ""
    if one.kind == "retire":
        return f"end {one.memory_id}: {said}", f"no longer believed: {', '.join(one.lost) or 'its sources'}", ""
    return f"{one.memory_id}: {said}", f"{one.before} → {one.after}", ""


def _differs(words: "Sequence[str]") -> str:
    return f"differs in: {', '.join(words)}" if words else "says the same elsewhere"


def _sum(begin: str, actions: "Iterable[Action]", examined: int) -> str:
    counts = Counter(one.kind for one in actions)
    parts = [f"{counts[kind]:,} {name}" for kind, name in _NAMES.items() if counts[kind]]
    return f"{begin} {', '.join(parts) or 'nothing'}, of {examined:,} memories."


def _skipped(run: "Run", how: str) -> None:
    for one in run.skipped:
        _note(f"{how}: {one.action.kind} {one.action.memory_id or one.action.content}: {one.reason}")


def _note(text: str) -> None:
    from cognition.cli.output import notice

    notice(f"Note: {text}")


def _two(similarity: float | None) -> str:
    return "" if similarity is None else f"{similarity:.2f}"


def _table(*names: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, overflow="fold")
    return table
