"""All commands of `dionysus`. Only typer is imported here; each command imports what it uses when it runs."""

from typing import Annotated

import typer

from cognition.cli import chat, dashboard, doctor, layers, options, recall, remember, think
from cognition.cli.examples import examples
from cognition.cli.exits import EPILOG
from cognition.cli.memory import memory
from cognition.cli.sandbox import sandbox
from cognition.cli.trace import trace

# rich would render prettier help and take longer for it than all the rest: `--help` must be quick.
app = typer.Typer(
    name="dionysus",
    epilog=examples(
        "dionysus remember docs/", 'dionysus think "Which queue do we use, and why?"', "dionysus trace show"
    )
    + EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"dionysus {version('dionysus-mind')}")
        except PackageNotFoundError:
            typer.echo("dionysus from a source tree that is not installed")
        raise typer.Exit


@app.callback()
def dionysus(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Think about a task in layers, over one memory, in a sandbox, with every step in a trace."""


for module in (think, chat, remember, recall, layers, dashboard, doctor):
    name = module.__name__.rpartition(".")[2]
    app.command(name, epilog=module.EXAMPLES)(getattr(module, name))
app.add_typer(memory, name="memory")
app.add_typer(sandbox, name="sandbox")
app.add_typer(trace, name="trace")
