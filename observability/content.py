"""Makes a span's attributes fit to be kept: redacted, of plain JSON types, bounded for each text and each span."""

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, cast

from observability.conventions import OPENINFERENCE_KIND, OPERATION, SPAN_KIND, is_content
from observability.redaction import REDACTED, Redactor

_TRUSTED = frozenset({SPAN_KIND, OPENINFERENCE_KIND, OPERATION})
_SHORTEST = 5
"""Characters; a shorter text can hold no secret worth the search."""
_DEEPEST = 8
_REMEMBERED = 4096
_REMEMBERED_LENGTH = 64


class _Role(Enum):
    """How an attribute is treated, judged by its name."""

    TRUSTED = auto()
    SECRET = auto()
    CONTENT = auto()
    FACT = auto()


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
        self.harmless: set[str] = set()
        self._roles: dict[str, _Role] = {}

    def role_of(self, name: str) -> "_Role":
        """Return how an attribute of this name is treated; names repeat, so the answer is kept."""
        role = self._roles.get(name)
        if role is None:
            role = self._judge(name)
            if len(self._roles) < _REMEMBERED:
                self._roles[name] = role
        return role

    def remember(self, text: str) -> None:
        """Note a short text without secrets, such as a model's name, so that it is searched once and not per span."""
        if len(self.harmless) < _REMEMBERED:
            self.harmless.add(text)

    def _judge(self, name: str) -> "_Role":
        if name in _TRUSTED:
            return _Role.TRUSTED
        if self.redactor.names_a_secret(name):
            return _Role.SECRET
        return _Role.CONTENT if is_content(name) else _Role.FACT

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
        said: list[tuple[str, Any]] = []
        role_of, harmless = self._rules.role_of, self._rules.harmless
        for name, value in _plain(attributes).items():
            role = role_of(name)
            if role is _Role.CONTENT:
                said.append((name, value))
            elif role is _Role.TRUSTED or value is None or isinstance(value, int):
                clean[name] = value
            elif role is _Role.FACT and isinstance(value, str) and value in harmless:  # the common case
                clean[name] = value
                self.size += len(value)
            else:
                clean[name] = self._attribute(name, value)
        if self._rules.content:
            clean.update((name, self._attribute(name, value)) for name, value in said)
        return clean

    def said(self, text: str | None) -> str | None:
        """Return a clean text that may quote what was said, such as an error's message; None where content is off."""
        return None if text is None or not self._rules.content else self.text(text)

    def text(self, text: str) -> str:
        """Return one text without secrets, cut to what the value and the span may still hold."""
        if text in self._rules.harmless:
            self.size += len(text)
            return text
        return self._bounded(self._without_secrets(text))

    def _without_secrets(self, text: str) -> str:
        clean, found = self._rules.redactor.redact(text) if len(text) >= _SHORTEST else (text, 0)
        self.redacted += found
        if not found and len(text) <= _REMEMBERED_LENGTH and text.isascii():
            self._rules.remember(text)
        return clean

    def _bounded(self, text: str) -> str:
        room = max(0, min(self._rules.value_limit, self._rules.span_limit - self.size))
        if not text.isascii() or len(text) > room:
            text = self._fit(text, room)
        self.size += len(text)
        return text

    def _attribute(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and self._rules.role_of(name) is _Role.SECRET:
            self.redacted += 1
            return REDACTED
        return self._value(value, _DEEPEST)

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, int):
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
        keep = room - len(mark.encode())
        if keep <= 0:
            return "…" if room >= len("…".encode()) else ""
        tail = keep // 4
        head = encoded[: keep - tail].decode("utf-8", "ignore")
        return head + mark + (encoded[len(encoded) - tail :].decode("utf-8", "ignore") if tail else "")


def _plain(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy as a dict: the SDK's own mapping takes a lock for each item, and another thread may still write."""
    copy = getattr(attributes, "copy", None)
    return copy() if copy is not None else dict(attributes)
