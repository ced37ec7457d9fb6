"""Values that must never be told, hidden wherever they stand: in a prompt, a tool's result, an error, a trace."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

REDACTED = "[redacted]"
_DEEPEST = 64
_FEWEST_ENCODED = 12  # bytes; base64 of fewer is so short that other words may hold it
_URL_SAFE = str.maketrans("+/", "-_")


class Secrets:
    """Secret values and the forms they take in JSON, URLs, Python's `repr`, base64 and hexadecimal digits.

    Whoever means to smuggle one out finds other forms; these are the ones that programs make by themselves.

    Args:
        values: such as keys and passwords of the settings and the environment.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {form for value in values if value for form in _forms(value)}
        self._forms = sorted(forms, key=len, reverse=True)  # a secret that holds another one goes first

    def redact(self, text: str) -> tuple[str, int]:
        """Return the text without them, and how many were taken out."""
        count = 0
        for secret in self._forms:
            if secret in text:
                count += text.count(secret)
                text = text.replace(secret, REDACTED)
        return text, count

    def hide(self, text: str) -> str:
        """Return the text without them."""
        return self.redact(text)[0]

    def hide_in(self, value: Any) -> Any:
        """Return a value with every text in it, however deep in mappings and sequences, without them.

        A value that holds none is returned as it is; objects of other types are not looked into.
        """
        return self._hidden(value, _DEEPEST) if self._forms else value

    def scrub(self, error: BaseException) -> None:
        """Take them out of an error and of all those that it was raised from, in place.

        What still tells one after that is cut off: a traceback shows every cause.
        """
        for each in _chain(error) if self._forms else ():
            self._clean(each)
            for cause in (each.__cause__, each.__context__):
                if cause is not None:
                    self._clean(cause)
                    if self.redact(_text(cause))[1]:
                        each.__cause__ = each.__context__ = None

    def _clean(self, error: BaseException) -> None:
        error.args = self.hide_in(error.args)
        vars(error).update({name: self.hide(text) for name, text in vars(error).items() if isinstance(text, str)})

    def _hidden(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.hide(value)
        if depth and isinstance(value, Mapping):
            entries = cast("Mapping[Any, Any]", value)
            return {self._hidden(name, 0): self._hidden(entry, depth - 1) for name, entry in entries.items()}
        if depth and isinstance(value, list | tuple):
            hidden = [self._hidden(entry, depth - 1) for entry in cast("list[Any]", value)]
            return hidden if isinstance(value, list) else tuple(hidden)
        return value


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a stranger's error: one that has no text tells nothing
        return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]


def _forms(secret: str) -> set[str]:
    return _encoded(secret.encode("utf-8", "surrogatepass")) | {
        secret,
        quote(secret, safe="", errors="replace"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


def _encoded(secret: bytes) -> set[str]:
    """Return what stands in base64 and in hexadecimal digits wherever the secret does, whatever stands around it."""
    if len(secret) < _FEWEST_ENCODED:
        return set()
    forms = {secret.hex(), secret.hex().upper()}
    for before in range(3):  # bytes that share the first group of three with it: "user:" of "user:password"
        whole = base64.b64encode(b"\0" * before + secret)
        first = 0 if before == 0 else 4
        ends = (before + len(secret)) // 3 * 4  # a last group that others fill up is left out
        core = whole[first:ends].decode()
        forms |= {core, core.translate(_URL_SAFE)}
    return forms
