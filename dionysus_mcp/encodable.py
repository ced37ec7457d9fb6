"""Text that can be written as UTF-8: no halves of surrogate pairs.

Models write such halves as JSON escapes. In a locale that is not UTF-8, Python makes them of the bytes of arguments and
file names, and there they are bytes of UTF-8 that can be read anew.
"""

from collections.abc import Mapping
from typing import Any


def encodable(text: str) -> str:
    """The text with bytes that came as surrogates read anew, and other halves of surrogates replaced."""
    if text.isascii():
        return text
    try:
        written = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        written = text.encode("utf-8", "replace")
    return written.decode("utf-8", "replace")


def encodable_json(value: Any) -> Any:
    """A JSON value with every text in it made `encodable`."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable_json(key): encodable_json(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType] -- JSON values
    if isinstance(value, list | tuple):
        return [encodable_json(each) for each in value]  # pyright: ignore[reportUnknownVariableType] -- JSON values
    return value
