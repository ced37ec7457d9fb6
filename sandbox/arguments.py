"""The arguments of a tool call against the tool's own schema, before the tool is called.

Used by `host_tools`. What comes here was rebuilt from what a sandbox sent, so its types are known ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SHOWN: Final = 10  # choices that a message lists


def bound(tool: str, inputs: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Name the positional arguments in the order of the inputs, and let nothing through that doesn't fit one.

    smolagents' `Tool.__call__` has switches of its own (`sanitize_inputs_outputs`) that code may not reach.

    Args:
        tool: its name, for messages.
        inputs: by argument, its schema: `type` (one or several of JSON's, `image`, `audio`, `any`), `nullable`, `enum`;
            what else there is has no meaning here.
        args: the positional arguments.
        kwargs: the named ones.

    Raises:
        TypeError: too many, unknown, missing or wrongly typed arguments.
        ValueError: one that is none of the values that its schema lists.
    """
    named = _named(tool, list(inputs), args, kwargs)
    for name, schema in inputs.items():
        if not isinstance(schema, dict):
            continue
        if name in named:
            _check(tool, name, named[name], schema)
        elif not schema.get("nullable") and "default" not in schema:
            raise TypeError(f"{tool}() misses the argument {name!r} ({_wanted(schema)}); it takes {', '.join(inputs)}")
    return named


def _named(tool: str, inputs: list[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    if len(args) > len(inputs):
        raise TypeError(f"{tool}() takes {len(inputs)} arguments ({', '.join(inputs)}) but {len(args)} were given")
    named = dict(zip(inputs, args, strict=False))
    for key, value in kwargs.items():
        if key not in inputs:
            raise TypeError(f"{tool}() got an unexpected argument {key!r}; it takes {', '.join(inputs) or 'none'}")
        if key in named:
            raise TypeError(f"{tool}() got two values for argument {key!r}")
        named[key] = value
    return named


def _check(tool: str, name: str, value: Any, schema: Mapping[str, Any]) -> None:
    if value is None and schema.get("nullable"):
        return
    if not any(_KINDS.get(kind, _anything)(value) for kind in _types(schema)):
        given = "None" if value is None else type(value).__name__
        raise TypeError(f"the argument {name!r} of {tool}() must be {_wanted(schema)}, not {given}")
    choices = schema.get("enum")
    if isinstance(choices, list | tuple) and value not in choices:
        listed = ", ".join(repr(choice) for choice in choices[:_SHOWN])
        raise ValueError(f"the argument {name!r} of {tool}() must be one of {listed}, not {value!r:.60}")


def _types(schema: Mapping[str, Any]) -> list[Any]:
    kinds = schema.get("type", "any")
    return list(kinds) if isinstance(kinds, list | tuple) else [kinds]


def _wanted(schema: Mapping[str, Any]) -> str:
    kinds = [_PYTHON.get(kind, str(kind)) for kind in _types(schema)]
    return " or ".join([*kinds, *(["None"] if schema.get("nullable") else [])])


def _anything(_: Any) -> bool:
    return True


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or type(value).__name__ in ("ndarray", "Series")


def _is_object(value: Any) -> bool:
    """A dict, or something that JSON has no word for: a table, an array, bytes."""
    return not isinstance(value, str | bool | int | float | list | tuple | None)


def _is_image(value: Any) -> bool:
    return any(base.__module__ == "PIL.Image" for base in type(value).__mro__)


_KINDS: Final[Mapping[Any, Callable[[Any], bool]]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "array": _is_array,
    "object": _is_object,
    "image": _is_image,
    "null": lambda value: value is None,
}
_PYTHON: Final = {
    "string": "str",
    "boolean": "bool",
    "integer": "int",
    "number": "int or float",
    "array": "list",
    "object": "dict",
    "image": "PIL image",
    "null": "None",
}
