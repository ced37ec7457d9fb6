"""Whose memories a command is about: the options that name a scope, and the settings for it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cognition.cli import options

if TYPE_CHECKING:
    from dionysus_mcp.settings import MemorySettings

Tenant = Annotated[str | None, typer.Option("--tenant", help="Whose memories; else those of [memory].")]
Project = Annotated[str | None, typer.Option("--project", help="Which of them; else those of [memory].")]
User = Annotated[str | None, typer.Option("--user", help="Whose own; else that of [memory], or what is shared.")]


def scoped(
    config: Path | None,
    memory: str | None,
    tenant: str | None = None,
    project: str | None = None,
    user: str | None = None,
) -> "MemorySettings":
    """The settings of the memory for one scope, as options name it."""
    settings = options.settings_from(config, memory=memory).memory
    given = {"tenant": tenant, "project": project, "user": user}
    if "" in given.values():
        raise typer.BadParameter("a scope has a name; it is empty", param_hint="--tenant, --project, --user")
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})
