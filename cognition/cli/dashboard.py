"""`dionysus dashboard`: the runs in a browser."""

from typing import Annotated

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

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
    from cognition.cli.boundary import Terminated
    from observability.dashboard import serve

    settings = options.settings_from(config)
    try:
        serve(
            settings.trace, port=port, announce=lambda url: _announce(url, open_browser=open_browser, as_json=as_json)
        )
    except Terminated:
        raise
    except KeyboardInterrupt:  # the way it is meant to end
        return ExitCode.DONE
    return ExitCode.DONE


def _announce(url: str, *, open_browser: bool, as_json: bool) -> None:
    import sys

    from cognition.cli.output import emit, notice

    if as_json:
        emit({"url": url})
    else:
        typer.echo(url)
        notice("Ctrl-C ends it.")
    sys.stdout.flush()  # whoever reads a pipe needs the address now
    if open_browser:
        import webbrowser

        webbrowser.open(url)
