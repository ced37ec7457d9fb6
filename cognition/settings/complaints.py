"""What is wrong with settings, said so that the reader can put it right: where it is, what it is, the nearest name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from cognition.settings.schema import Model, field_name, is_secret, keys_at
from cognition.settings.sources import PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from cognition.settings.sources import Source, Tree
    from cognition.settings.toml_lines import KeyPath

_NAMED = ("layers", "tiers", "mcp")  # tables with a name of the user's own below them
_LOGIN = re.compile(r"://[^\s'\"]*@")  # to the last @: a password may have one, and / and : too
_SHOWN = 60  # characters of a wrong value; a longer one would hide the message


def complaints(schema: Model, error: ValidationError, tree: Tree, sources: Sequence[Source]) -> list[str]:
    """Return one line for each error, in the order of their lines.

    Args:
        schema: the model of all settings.
        error: what pydantic found.
        tree: what it was given.
        sources: where the settings came from, the highest precedence first.
    """
    found = [(_own_names(schema, tree, details), details) for details in error.errors(include_url=False)]
    paths = [path for path, _ in found]
    lines = [
        complaint(path, _sentence(schema, path, details, sources), sources)
        for path, details in found
        if not _about_another_kind(path, details, paths)
    ]
    return sorted(dict.fromkeys(lines), key=_in_order_of_lines)


def complaint(path: KeyPath, sentence: str, sources: Sequence[Source]) -> str:
    """Return one line: the place that says the setting at a path, its table, and a sentence."""
    table = ".".join(str(part) for part in path[: 2 if path[0] in _NAMED else 1])
    header = f"[{table}] " if len(path) > 1 else ""
    return f"{_place(path, sources) or 'default'}: {header}{_LOGIN.sub('://***@', sentence)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return words that point to the nearest right name, or that list the right names."""
    names = sorted(known)
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"


def _place(path: KeyPath, sources: Sequence[Source]) -> str | None:
    found = [place for source in sources if (place := source.locate(path))]
    return max(found, key=lambda place: place[0])[1] if found else None  # the first of equals has precedence


def _own_names(schema: Model, tree: Tree, details: ErrorDetails) -> KeyPath:
    """Return an error's path in the names that the settings use: without aliases and pydantic's names of unions.

    What is neither in the tree nor missing from it is such a name: `models[1].constrained-str`.
    """
    path: KeyPath = ()
    current: Any = tree
    loc = details["loc"]
    for index, part in enumerate(loc):
        name = field_name(schema, path, part) if isinstance(part, str) else part
        missing = details["type"] == "missing" and index == len(loc) - 1
        if missing or name in _keys(current):
            path = (*path, name)
            current = None if missing else current[name]
    return path or tuple(loc)


def _keys(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value)
    return range(len(cast("list[Any]", value))) if isinstance(value, list | tuple) else ()


def _about_another_kind(path: KeyPath, details: ErrorDetails, paths: Sequence[KeyPath]) -> bool:
    """Whether an error just says that a table is no text, while others say what is wrong inside the table."""
    below = any(other[: len(path)] == path and len(other) > len(path) for other in paths)
    return below and isinstance(details["input"], dict) and details["type"].endswith("_type")


def _sentence(schema: Model, path: KeyPath, details: ErrorDetails, sources: Sequence[Source]) -> str:
    if details["type"] == "extra_forbidden":
        return _unknown(schema, path, sources)
    message = _message(details)
    if isinstance(details["input"], dict) and details["type"] == "value_error":
        return message  # the table as a whole is wrong, no key of it
    name = _dotted(path[2:] if path[0] in _NAMED else path[1:] or path)
    if details["type"] == "missing":
        return f"{name} is missing"
    shown = "" if is_secret(schema, path) else _shown(details["input"], message)
    return f"{name}{shown}: {message}{_hint(path, details, sources)}".removeprefix(" = ").removeprefix(": ")


def _unknown(schema: Model, path: KeyPath, sources: Sequence[Source]) -> str:
    word, known = str(path[-1]), keys_at(schema, path[:-1]) or ()
    variable = _place(path, sources) or ""
    if variable.startswith(PREFIX):
        near = get_close_matches(variable, _variables(schema, path[:-1], known), n=1, cutoff=0.7)
        return f"there is no such setting; {f'did you mean {near[0]}?' if near else nearest(word, known)}"
    kind = "key" if len(path) > 1 else "table"
    return f"unknown {kind} {word!r}; {nearest(word, known)}"


def _variables(schema: Model, path: KeyPath, known: Iterable[str]) -> list[str]:
    """Return the variables of the table at a path and of every table with a fixed name."""
    paths = [(*path, name) for name in known]
    paths += [(table, name) for table in schema.model_fields for name in keys_at(schema, (table,)) or ()]
    return [PREFIX + "__".join(str(part) for part in parts).upper() for parts in paths]


def _in_order_of_lines(line: str) -> tuple[str, int]:
    numbered = re.match(r"(.*?):(\d+): ", line)
    return (numbered[1], int(numbered[2])) if numbered else ("", 0)


def _message(details: ErrorDetails) -> str:
    message = re.sub(r"^(Value error|Assertion failed), ", "", details["msg"])
    return message[:1].lower() + message[1:] if message[:2].istitle() else message


def _shown(value: Any, message: str) -> str:
    if isinstance(value, dict) or repr(value) in message:
        return ""
    if isinstance(value, list | tuple) and any(_keys(entry) for entry in cast("list[Any]", value)):
        return ""  # a table in it may hold a key
    text = repr(value)
    return f" = {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}"


def _hint(path: KeyPath, details: ErrorDetails, sources: Sequence[Source]) -> str:
    if details["type"] == "literal_error" and isinstance(details["input"], str):
        expected = re.findall(r"'([^']*)'", str(details.get("ctx", {}).get("expected", "")))
        near = get_close_matches(details["input"].lower(), expected, n=1, cutoff=0.5)
        return f"; did you mean {near[0]!r}?" if near else ""
    in_variable = (_place(path, sources) or "").isupper()
    if in_variable and details["type"] in ("tuple_type", "list_type", "dict_type", "model_type"):
        return '; a variable gives it as JSON, such as ["one", "two"] or {"name": "value"}'
    return ""


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
