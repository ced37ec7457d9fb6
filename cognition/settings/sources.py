"""The three places settings come from, each able to say where in it a setting stands.

They only read and arrange; what the values mean is for the models to say.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from cognition.settings.errors import SettingsError
from cognition.settings.schema import Model, descend, model_of, values_of
from cognition.settings.toml_lines import KeyPath, key_lines

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "dionysus.toml"
PREFIX = "DIONYSUS_"
OWN_VARIABLES = frozenset({"DIONYSUS_HOME", "DIONYSUS_CONFIG"})
"""Variables that are no settings: where the data is, and where the settings are."""

_SHORT = {"memory": "url", "sandbox": "backend"}

Tree = dict[str, Any]


class Source(Protocol):
    """Some settings, and where they come from."""

    @property
    def tree(self) -> Tree:
        """The settings as nested tables."""
        ...

    def locate(self, path: KeyPath) -> tuple[int, str] | None:
        """Return how many parts of the path this source knows, and words for the place, or `None` for not at all."""
        ...


class FileSource:
    """Settings from a TOML file.

    Raises:
        SettingsError: the file can't be read, or is no TOML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SettingsError(f"The settings file {path} can't be read: {reason}.") from error
        try:
            self.tree: Tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(_syntax_error(path, text, error)) from error
        self._lines = key_lines(text)

    def locate(self, path: KeyPath) -> tuple[int, str] | None:
        """Return the depth known and `FILE:LINE`."""
        for depth in range(len(path), 0, -1):
            line = self._lines.get(path[:depth])
            if line is not None:
                return depth, f"{self.path}:{line}"
        return None


class EnvironmentSource:
    """Settings from variables: `DIONYSUS_SECTION__KEY`, one `__` for each table below, and `DATABASE_URL`.

    Args:
        schema: the model of all settings; it says which names are free and keep their case.
        known: settings of lower precedence; a variable may speak of their layers, tiers and servers in any case.
    """

    def __init__(self, schema: Model, known: Tree, environment: Mapping[str, str] = os.environ) -> None:
        self.tree: Tree = {}
        self._variables: dict[KeyPath, str] = {}
        if environment.get("DATABASE_URL"):
            self._put(("memory", "url"), "DATABASE_URL", environment["DATABASE_URL"])
        names = sorted(name for name in environment if name.startswith(PREFIX) and name not in OWN_VARIABLES)
        for name in sorted(names, key=lambda name: name.count("__")):
            self._put(_variable_path(schema, known, name), name, environment[name])

    def locate(self, path: KeyPath) -> tuple[int, str] | None:
        """Return the depth known and the variable's name."""
        for depth in range(len(path), 0, -1):
            for known, name in self._variables.items():
                if known[:depth] == path[:depth]:
                    return depth, name
        return None

    def _put(self, path: tuple[str, ...], name: str, text: str) -> None:
        self._variables = {known: other for known, other in self._variables.items() if known != path} | {path: name}
        table = self.tree
        for part in path[:-1]:
            if not isinstance(table.get(part), dict):
                table[part] = {}
            table = table[part]
        table[path[-1]] = _parsed(text)


class KeywordSource:
    """Settings given as keyword arguments; models among them count with all their fields.

    `memory="sqlite:///notes.db"` and `sandbox="monty"` are short for the one key of the table that matters most.
    """

    def __init__(self, keywords: Mapping[str, Any]) -> None:
        short = {table: {_SHORT[table]: value} for table, value in keywords.items() if _is_short(table, value)}
        self.tree: Tree = _plain({**keywords, **short})

    def locate(self, path: KeyPath) -> tuple[int, str] | None:
        """Return the depth known and the keyword's name."""
        table: Any = self.tree
        for depth, part in enumerate(path):
            if not isinstance(table, dict) or part not in table:
                return (depth, f"keyword {path[0]}") if depth else None
            table = table[part]
        return len(path), f"keyword {path[0]}"


def _is_short(table: str, value: Any) -> bool:
    return table in _SHORT and isinstance(value, str)


def merged(lower: Tree, upper: Tree) -> Tree:
    """Return both trees as one, table by table; where both have a value, the upper one's."""
    result = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _variable_path(schema: Model, known: Tree, name: str) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    parts = name.removeprefix(PREFIX).split("__")
    for index, part in enumerate(parts):
        annotation = descend(schema, path)
        values = values_of(annotation) if model_of(annotation) is None else None
        if values is not None and model_of(values) is None:
            return (*path, "__".join(parts[index:]))  # a free mapping, such as a server's own environment
        names = {key.lower(): key for key in _table_at(known, path)}
        path = (*path, names.get(part.lower(), part.lower()))
    return path


def _table_at(tree: Tree, path: tuple[str, ...]) -> Tree:
    table: Any = tree
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}


def _parsed(text: str) -> Any:
    """Lists and tables are written as JSON; everything else stays text, which the models turn into what they need."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    return value


def _syntax_error(path: Path, text: str, error: tomllib.TOMLDecodeError) -> str:
    at_line = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
    line = int(at_line[1]) if at_line else text.count("\n") + 1
    what = re.sub(r"\s*\(at .*\)$", "", str(error))
    column = f", column {at_line[2]}" if at_line else ""
    return f"{path}:{line}: this is not valid TOML{column}: {what}."
