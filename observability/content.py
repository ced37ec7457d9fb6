"""Makes a span's attributes fit to be kept: redacted, of plain JSON types, bounded for each text and each span."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from observability.conventions import OPENINFERENCE_KIND, OPERATION, SPAN_KIND, is_content
from observability.redaction import REDACTED, Redactor

_TRUSTED = frozenset({SPAN_KIND, OPENINFERENCE_KIND, OPERATION})
_SHORTEST = 5
"""Characters; a shorter text can hold no secret worth the search."""
_DEEPEST = 8


class Cleaner:
    """The bounds and the redaction for all spans of a process.

    Args:
        redactor: takes the secrets out; before anything is cut, since half a key no longer looks like one.
        value_limit: bytes that one text keeps.
        span_limit: bytes that all texts of one span keep.
        content: keep what was said; else attributes in `conventions.CONTENT_PREFIXES` are left out.
    """

    def __init__(self, redactor: Redactor, *, value_limit: int, span_limit: int, content: bool) -> None:
        self.redactor = redactor
        self.value_limit = value_limit
        self.span_limit = span_limit
        self.content = content

    def begin(self) -> "Cleaning":
        """Start on one span."""
        return Cleaning(self)


class Cleaning:
    """The cleaning of one span: counts as it goes. Bytes of text in `size`, cut texts in `truncated`."""

    def __init__(self, rules: Cleaner) -> None:
        self._rules = rules
        self.size = 0
        self.truncated = 0
        self.redacted = 0

    def attributes(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return clean attributes. Facts come before content, so that long prompts can't push them out."""
        clean: dict[str, Any] = {}
        if not attributes:
            return clean
        later: list[str] = []
        for name, value in attributes.items():
            if name in _TRUSTED or isinstance(value, bool | int):
                clean[name] = value
            elif is_content(name):
                later.append(name)
            else:
                clean[name] = self._attribute(name, value)
        if self._rules.content:
            clean.update((name, self._attribute(name, attributes[name])) for name in later)
        return clean

    def said(self, text: str | None) -> str | None:
        """Return a clean text that may quote what was said, such as an error's message; None where content is off."""
        return None if text is None or not self._rules.content else self.text(text)

    def text(self, text: str) -> str:
        """Return one text without secrets, cut to what the value and the span may still hold."""
        if len(text) >= _SHORTEST:
            text, found = self._rules.redactor.redact(text)
            self.redacted += found
        room = max(0, min(self._rules.value_limit, self._rules.span_limit - self.size))
        if not text.isascii() or len(text) > room:
            text = self._fit(text, room)
        self.size += len(text)
        return text

    def _attribute(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and self._rules.redactor.names_a_secret(name):
            self.redacted += 1
            return REDACTED
        return self._value(value, _DEEPEST)

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, bytes):
            return f"({len(value)} bytes)"
        return self._nested(value, depth - 1)

    def _nested(self, value: Any, depth: int) -> Any:
        if depth > 0 and isinstance(value, Mapping):
            entries = cast("Mapping[Any, Any]", value)
            return {self.text(str(key)): self._entry(str(key), entry, depth) for key, entry in entries.items()}
        if depth > 0 and isinstance(value, Sequence):
            return [self._value(entry, depth) for entry in cast("Sequence[Any]", value)]
        return self.text(str(value))

    def _entry(self, name: str, value: Any, depth: int) -> Any:
        return self._attribute(name, value) if isinstance(value, str) else self._value(value, depth)

    def _fit(self, text: str, room: int) -> str:
        """Keep the beginning and the end: of a prompt, the end is where the question stands."""
        encoded = text.encode("utf-8", "replace")  # a lone surrogate is legal in a str and in no file
        if len(encoded) <= room:
            return encoded.decode()
        self.truncated += 1
        mark = f" … [{len(encoded) - room} bytes cut] … "
        keep = max(0, room - len(mark.encode()))
        tail = keep // 4
        head = encoded[: keep - tail].decode("utf-8", "ignore")
        return head + mark + (encoded[len(encoded) - tail :].decode("utf-8", "ignore") if tail else "")
