"""`dionysus remember`: read files, folders or git histories into memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from dionysus_mcp.admin import IngestSummary
