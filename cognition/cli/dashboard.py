"""`dionysus dashboard`: the runs in a browser."""

from typing import Annotated

import typer

from cognition.cli import options
from cognition.cli.examples import examples

EXAMPLES = examples(
    "dionysus dashboard",
    "dionysus dashboard --open",
    "dionysus dashboard --port 8123 --json",
)


def dashboard(
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
    ] = 0,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Serve the runs and their traces on this machine, until Ctrl-C.

    It listens on 127.0.0.1 alone, and only the address with its token is answered.
    """
    settings = options.settings_from(config)
    raise NotImplementedError(settings)
