"""`dionysus memory`: the memory server for many clients, who may use it, and looking after the store."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import consolidate, graph, options, upkeep
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from dionysus_mcp.serving.tokens import Token, TokenFile

SERVE_EXAMPLES = examples("dionysus memory serve", "dionysus memory serve --host 0.0.0.0 --port 8765 --read-only")
ADD_EXAMPLES = examples(
    "dionysus memory token add laptop",
    "dionysus memory token add dashboard --read-only --expires 30d",
    "dionysus memory token add ann --tenant acme --project support --user ann",
)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

memory = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Serve memory to many clients, and look after it."
)
token = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may use the memory server.")
memory.add_typer(token, name="token")
upkeep.add_to(memory)
memory.add_typer(graph.graph, name="graph")
memory.command("consolidate", epilog=consolidate.EXAMPLES)(consolidate.consolidate)


@memory.command("serve", epilog=SERVE_EXAMPLES)
def serve(
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="ADDRESS", help="Where to listen; off this machine tokens are needed."),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every write.")] = False,
    url: options.Memory = None,
    config: options.Config = None,
    debug: options.Debug = False,
) -> int:
    """Serve memory over streamable HTTP until Ctrl-C; the first line is the address for MCP clients.

    On this machine alone no token is needed, unless there are any; elsewhere each request needs one.
    """
    from dionysus_mcp.server import run

    settings = options.settings_from(config, memory=url)
    given: dict[str, Any] = {"host": host, "port": port, "read_only": read_only or None}
    changes = {name: value for name, value in given.items() if value is not None}
    run(
        settings.server.model_copy(update={"transport": "http", **changes}),
        settings.memory,
        settings.trace,
        settings.consolidation,
    )
    return ExitCode.DONE


@token.command("add", epilog=ADD_EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the audit log calls its bearer.")],
    tenant: Annotated[str | None, typer.Option("--tenant", help="Whose memories; else those of [memory].")] = None,
    project: Annotated[str | None, typer.Option("--project", help="Which of them; else those of [memory].")] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="It reads and writes this user's; else that of [memory].")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", help="It reaches this session alone; else that of [memory].")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It can't change memory.")] = False,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="Such as 12h, 30d or 8w; never when left out.")
    ] = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Make a token and show it, this once; only its digest is kept."""
    from cognition.cli.output import emit, notice

    settings = options.settings_from(config)
    if "" in (tenant, project, user, session):
        raise typer.BadParameter("a scope has a name; it is empty", param_hint="--tenant, --project, --user, --session")
    secret = _file(settings).add(
        name,
        tenant=tenant or settings.memory.tenant,
        project=project or settings.memory.project,
        user=user or settings.memory.user,
        session=session or settings.memory.session,
        read_only=read_only,
        expires_at=None if expires is None else datetime.now(UTC) + _span(expires),
    )
    if as_json:
        emit({"name": name, "token": secret})
    else:
        typer.echo(secret)
        notice(f"Clients send it as `Authorization: Bearer …`. It is shown only now; `revoke {name}` ends it.")
    return ExitCode.DONE


@token.command("list", epilog=examples("dionysus memory token list", "dionysus memory token list --json"))
def show(config: options.Config = None, as_json: options.Json = False, debug: options.Debug = False) -> int:
    """Show the tokens and what each may do; the secrets are kept nowhere."""
    from cognition.cli.output import emit, render

    tokens = _file(options.settings_from(config)).tokens()
    if as_json:
        emit([one.model_dump(mode="json", exclude={"digest"}) for one in tokens])
    else:
        render(*[_line(one) for one in tokens] or ["No tokens."])
    return ExitCode.DONE


@token.command("revoke", epilog=examples("dionysus memory token revoke laptop"))
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the token.")],
    config: options.Config = None,
    debug: options.Debug = False,
) -> int:
    """Refuse a token from now on, also in servers that are running."""
    _file(options.settings_from(config)).revoke(name)
    return ExitCode.DONE


def _file(settings: Any) -> "TokenFile":
    from dionysus_mcp.serving.tokens import TokenFile

    return TokenFile(settings.server.tokens)


def _line(one: "Token") -> str:
    from dionysus_mcp.scope import Scope

    may = "reads" if one.read_only else "reads and writes"
    until = ""
    if one.expires_at is not None:
        said = "expired" if one.is_expired(datetime.now(UTC)) else "until"
        until = f", {said} {one.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"{one.name}: {may} {Scope.of(one)}{until}"


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,3})([mhdw])", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a time such as 12h, 30d or 8w", param_hint="--expires")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
