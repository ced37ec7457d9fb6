"""Options that several commands share, and what they make of the settings."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from cognition.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show the result alone.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings file; else the nearest dionysus.toml.")
]
Memory = Annotated[
    str | None, typer.Option("--memory", metavar="URL", help="Memory store, such as sqlite:///notes.db.")
]
Sandbox = Annotated[str | None, typer.Option("--sandbox", metavar="BACKEND", help="auto, docker, monty, …")]
Tier = Annotated[str | None, typer.Option("--tier", metavar="NAME", help="One tier for all layers, such as offline.")]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", metavar="NAME.KEY=VALUE", help="Change a layer: --layer abstract.max_steps=3"),
]
Session = Annotated[str | None, typer.Option("--session", metavar="NAME", help="Conversation to continue.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Most steps of all layers together.")]
Tokens = Annotated[int | None, typer.Option("--tokens", min=1, metavar="N", help="Most tokens, prompts included.")]
Dollars = Annotated[float | None, typer.Option("--budget-usd", metavar="USD", help="Most cost in USD.")]
Retries = Annotated[int, typer.Option("--retries", min=0, max=20, metavar="N", help="Tries after one that failed.")]
Ask = Annotated[
    list[str] | None, typer.Option("--ask", metavar="TOOL", help="Ask before this tool is called; * for every one.")
]
Deny = Annotated[list[str] | None, typer.Option("--deny", metavar="TOOL", help="Never let this tool be called.")]
Approve = Annotated[
    list[str] | None, typer.Option("--approve", metavar="TOOL", help="Say yes beforehand where it would be asked.")
]
Deadline = Annotated[float | None, typer.Option("--deadline", metavar="SECONDS", help="Most seconds.")]


def settings_from(
    config: Path | None,
    *,
    memory: str | None = None,
    sandbox: str | None = None,
    tier: str | None = None,
    layers: list[str] | None = None,
) -> "Settings":
    """Return the settings with the options on top.

    Raises:
        SettingsError: something in them is wrong.
        typer.BadParameter: `--layer` can't be read.
    """
    from cognition.settings import load_settings

    return load_settings(
        config, memory=memory, sandbox=sandbox, tier=tier, layers=layer_changes(layers) if layers else None
    )


def guarded(
    settings: "Settings", ask: list[str] | None, deny: list[str] | None, approve: list[str] | None
) -> "Settings":
    """Return the settings with what `--ask`, `--deny` and `--approve` say on top; the stricter rule holds."""
    guards = settings.guards.with_more(ask=ask or (), deny=deny or (), approve=approve or ())
    return settings.model_copy(update={"guards": guards})


def layer_changes(changes: list[str]) -> dict[str, dict[str, Any]]:
    """Read `NAME.KEY=VALUE`, the value as in TOML; what is no TOML is text.

    Raises:
        typer.BadParameter: it is not of this form.
    """
    layers: dict[str, dict[str, Any]] = {}
    for change in changes:
        place, equals, text = change.partition("=")
        name, dot, key = place.strip().partition(".")
        if not (equals and dot and name and key):
            raise typer.BadParameter(
                f"{change!r} is not NAME.KEY=VALUE, such as abstract.max_steps=3", param_hint="--layer"
            )
        layers.setdefault(name, {})[key.strip()] = _value(text.strip())
    return layers


def budget_from(
    settings: "Settings", steps: int | None, tokens: int | None, usd: float | None
) -> dict[str, int | float]:
    """Return the run's limits: the settings' `[budget]` with the options on top.

    Raises:
        typer.BadParameter: a limit is not above 0.
    """
    if usd is not None and not usd > 0:
        raise typer.BadParameter(f"{usd:g} is not above 0", param_hint="--budget-usd")
    given = {"steps": steps, "tokens": tokens, "usd": usd}
    return settings.budget.model_dump(exclude_none=True) | {k: v for k, v in given.items() if v is not None}


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
