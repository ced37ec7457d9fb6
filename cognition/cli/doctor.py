"""`dionysus doctor`: is everything there that thinking needs, and what to do where it isn't."""

from typing import TYPE_CHECKING, Any

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from cognition.cli.check import Check

_STYLES = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


EXAMPLES = examples(
    "dionysus doctor",
    "dionysus doctor --sandbox docker",
    "dionysus doctor --json",
)


def doctor(
    memory: options.Memory = None,
    sandbox: options.Sandbox = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Check settings, memory, embedder, sandbox, trace and models; exit code 1 if something fails.

    Keys are looked for, and their values never shown.
    """
    from cognition.cli.checks import examine
    from cognition.cli.output import emit, render

    checks = examine(options.settings_from(config, memory=memory, sandbox=sandbox))
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        emit({"ok": not failed, "checks": [check.as_json() for check in checks]})
    else:
        render(_table(checks))
    return ExitCode.FAILED if failed else ExitCode.DONE


def _table(checks: "list[Check]") -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        mark, style = _STYLES[check.state]
        said = Text(check.finding)
        if check.advice:
            said.append(f"\n→ {check.advice}", style=style)
        table.add_row(Text(f"{mark} {check.part}", style=style), said)
    return table
