"""A task's files for a layer that writes no code: code opens them in its sandbox, a tool call reads them here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layers.errors import LayerError
from layers.toolbox import ToolDefinition

if TYPE_CHECKING:
    from layers.run.run import Node

READ_FILE = "read_file"
MOST_CHARACTERS = 20_000
"""Characters of a file that one call shows."""


def read_file_tool(files: Mapping[str, bytes]) -> ToolDefinition:
    """Return the tool `read_file` over a task's files, by name."""

    def call(_: Node, arguments: dict[str, Any]) -> Any:
        name, start = arguments["name"], arguments.get("start") or 0
        text = _text(name, _content(files, name))
        if not 0 <= start <= len(text):
            raise LayerError(f"{READ_FILE}: start is {start}, and {name} has {len(text):,} characters.")
        end = min(start + MOST_CHARACTERS, len(text))
        return {
            "name": name,
            "text": text[start:end],
            "characters": len(text),
            "next_start": end if end < len(text) else None,
        }

    names = ", ".join(sorted(files))
    inputs = {
        "name": {"type": "string", "description": f"One of: {names}."},
        "start": {"type": "integer", "description": "Character to begin at; 0 by default.", "nullable": True},
    }
    description = (
        f"Read a text file of the task, {MOST_CHARACTERS:,} characters a call. Returns name, text, characters (of the "
        "whole file) and next_start, where a further call goes on, or null at the end."
    )
    return ToolDefinition(READ_FILE, description, inputs, call)


def _content(files: Mapping[str, bytes], name: str) -> bytes:
    try:
        return files[name]
    except KeyError:
        near = difflib.get_close_matches(name, files, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(files))}."
        raise LayerError(f"The task has no file {name!r}. {hint}") from None


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LayerError(f"{name} is no UTF-8 text but {len(content):,} bytes of something else.") from None
