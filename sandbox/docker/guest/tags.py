"""Plain values as JSON, with a tag for what JSON has not; the same file on both sides of the wire.

    tuple, set, frozenset   {"$": "tuple", "v": [...]}
    bytes                   {"$": "bytes", "v": "base64"}
    nan, inf, -inf          {"$": "float", "v": "nan"}
    other dicts             {"$": "dict", "v": [[key, value], ...]}   (keys that are no text, or a key "$")
    what has a codec        {"$": tag, "v": content}                  (see `codecs`)

A tag is looked up in a fixed table: no name from the wire is ever imported, called or compared with a class.
"""

from __future__ import annotations

import math
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

TYPE_CHECKING = False  # typing's import is a tenth of a box's start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

TAG = "$"
_MAX_INT_BITS = 14_000  # longer ints have no decimal text in CPython unless one asks for it
_PLAIN = frozenset((type(None), bool, str))
_MANY = 1_000  # keys from which on their hashes are looked at


class Coded:
    """A value as the tag of its codec and content; without a tag the content stands for it alone.

    Attributes:
        tag: in the table of `codecs`, or None.
        content: of plain values.
    """

    __slots__ = ("content", "tag")

    def __init__(self, tag: str | None, content: Any) -> None:
        self.tag, self.content = tag, content


class TagError(ValueError):
    """What came over the wire is no value: an unknown tag, too deep, or of the wrong shape."""


def tagged(value: Any) -> Any:
    """A plain value, checked before, as something `json.dumps` takes."""
    kind = type(value)
    if kind in _PLAIN or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else {TAG: "float", "v": repr(value)}
    if kind is list:
        return [tagged(item) for item in value]
    if kind is dict:
        return _tagged_dict(value)
    if kind is bytes:
        return {TAG: "bytes", "v": b2a_base64(value, newline=False).decode()}
    if kind is Coded:
        return {TAG: value.tag, "v": tagged(value.content)}
    return {TAG: kind.__name__, "v": [tagged(item) for item in value]}


def _tagged_dict(value: dict[Any, Any]) -> dict[str, Any]:
    if TAG not in value and all(type(key) is str for key in value):
        return {key: tagged(item) for key, item in value.items()}
    return {TAG: "dict", "v": [[tagged(key), tagged(item)] for key, item in value.items()]}


def untagged(value: Any, depth: int, more: Callable[[str], Callable[[Any], Any] | None] | None = None) -> Any:
    """The plain value of parsed JSON from a side that is not trusted.

    Args:
        value: what `json.loads` gave.
        depth: levels of nesting that are still allowed.
        more: what makes a value of a further tag's content, which is a plain value by then; None for an unknown tag.

    Raises:
        TagError: it is no value.
    """
    kind = type(value)
    if kind is str:
        return readable(value)
    if kind in _PLAIN or kind is float:
        return value
    if kind is int:
        if value.bit_length() > _MAX_INT_BITS:
            raise TagError("an int that is too large")
        return value
    if depth <= 0:
        raise TagError("a value that is nested too deep")
    if kind is list:
        return [untagged(item, depth - 1, more) for item in value]
    if TAG not in value:
        return {readable(key): untagged(item, depth - 1, more) for key, item in value.items()}
    return _of_tag(value, depth, more or _no_more)


def readable(text: str) -> str:
    """Text without lone surrogates, which no log, no file and no model's request could carry."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _scattered(keys: list[Any]) -> list[Any]:
    """The keys, unless many share a hash: numbers are easily made so, and their set would take hours to build."""
    if len(keys) > _MANY and 2 * len({hash(key) for key in keys}) < len(keys):
        raise TagError("keys that all collide")
    return keys


def _no_more(_: str) -> None:
    return None


def _of_tag(value: dict[str, Any], depth: int, more: Callable[[str], Callable[[Any], Any] | None]) -> Any:
    tag, content = value[TAG], value.get("v")
    try:
        if type(tag) is str and tag in _SEQUENCES and type(content) is list:
            items = [untagged(item, depth - 1, more) for item in content]
            return _SEQUENCES[tag](items if tag == "tuple" else _scattered(items))
        if tag == "dict" and type(content) is list:
            pairs = [(untagged(key, depth - 1, more), untagged(item, depth - 1, more)) for key, item in content]
            _scattered([key for key, _ in pairs])
            return dict(pairs)
        if tag == "bytes" and type(content) is str:
            return a2b_base64(content)
        if tag == "float" and content in ("nan", "inf", "-inf"):
            return float(content)
        if type(tag) is str and (make := more(tag)) is not None:
            return make(untagged(content, depth - 1, more))
    except (TypeError, ValueError, Base64Error) as error:
        raise (
            error
            if type(error) not in (TypeError, ValueError, Base64Error)
            else TagError(f"a {str(tag)[:20]} that is none")
        ) from None
    raise TagError(f"an unknown kind of value: {str(tag)[:20]!r}")


_SEQUENCES: dict[str, Callable[..., Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
