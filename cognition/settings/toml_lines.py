"""Where in a TOML text each key stands: `tomllib` reads the values, and this finds their lines for error messages.

Called by `cognition.settings.sources` with text that `tomllib` has already accepted, so nothing is checked twice here.
"""

from __future__ import annotations

import re
import tomllib
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
# Longest first: a multi-line string begins with the quotes of an empty one, and may end in up to two quotes of its own.
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, at which each key, table and array item first appears.

    Args:
        text: valid TOML.

    Returns:
        A line per path: keys by name, items of arrays by their index from 0.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """A cursor over the text; each method reads one construct of TOML and leaves the cursor behind it."""

    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text
        self._at = 0
        self._sizes: dict[KeyPath, int] = {}  # items so far of each array of tables

    def document(self) -> None:
        table: KeyPath = ()
        self._take(_GAP)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._take(_GAP)

    def _header(self) -> KeyPath:
        double = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if double else 1
        path: KeyPath = ()
        keys = self._dotted_key()
        for index, key in enumerate(keys):
            path = (*path, key)
            self._note(path, line)
            if double and index == len(keys) - 1:
                self._sizes[path] = self._sizes.get(path, 0) + 1
            if path in self._sizes:  # a header speaks of the newest item of an array of tables
                path = (*path, self._sizes[path] - 1)
                self._note(path, line)
        self._at += 2 if double else 1
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for key in self._dotted_key():
            path = (*path, key)
            self._note(path, line)
        self._at += 1  # the equals sign
        self._take(_BLANK)
        self._value(path)

    def _dotted_key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._take(_BLANK)
            token = self._take(_KEY)
            keys.append(tomllib.loads(f"key = {token}")["key"] if token[0] in "\"'" else token)
            self._take(_BLANK)
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        opening = self._text[self._at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            self._take(_STRING if opening in "\"'" else _SCALAR)

    def _array(self, path: KeyPath) -> None:
        index = 0
        while self._next_item("]"):
            item = (*path, index)
            self._note(item, self._line())
            self._value(item)
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, closing: str) -> bool:
        """Step over the opening bracket or a comma; at the closing bracket step over that and return False."""
        self._take(_GAP)
        if self._text[self._at] != closing:
            self._at += 1
            self._take(_GAP)
        if self._text[self._at] != closing:
            return True
        self._at += 1
        return False

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:  # can't be in valid TOML; without this a gap in this scanner would loop for ever
            raise ValueError(f"line {self._line()} can't be read as TOML")
        self._at = match.end()
        return match.group()

    def _note(self, path: KeyPath, line: int) -> None:
        self.lines.setdefault(path, line)

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
