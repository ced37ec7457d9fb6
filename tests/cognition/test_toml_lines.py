"""The locator finds exactly the keys that tomllib reads, on the line where they stand."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognition.settings.toml_lines import KeyPath, key_lines

HARD = '''# a comment with [a.table] and key = 1
a.b."c.d" = 1 # another
'quoted key' = 'x'

[tiers."with.dot"]
text = """one
[not.a.table]
also_not = 1
ends in two quotes"""""
list = ['a', # ]
  "b]",
  {k = 1, m.n = 'x,}'},
]
empty = []
none = {}
day = 2020-01-01T00:00:00Z

[[servers]]
x = 1.5
[servers.sub]
y = true
[[servers]]
[[servers.deep]]
z = \'\'\'
a = 1\'\'\'
[[servers.deep]]
z = [[1, 2], [3]]
'''


def paths(value: Any, above: KeyPath = ()) -> Iterator[KeyPath]:
    if above:
        yield above
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*above, key))


def test_every_key_that_tomllib_reads_has_a_line_and_no_other() -> None:
    assert set(key_lines(HARD)) == set(paths(tomllib.loads(HARD)))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 2),
        (("a", "b", "c.d"), 2),
        (("quoted key",), 3),
        (("tiers",), 5),
        (("tiers", "with.dot"), 5),
        (("tiers", "with.dot", "text"), 6),
        (("tiers", "with.dot", "list"), 10),
        (("tiers", "with.dot", "list", 1), 11),
        (("tiers", "with.dot", "list", 2, "m", "n"), 12),
        (("tiers", "with.dot", "none"), 15),
        (("servers", 0, "x"), 19),
        (("servers", 0, "sub", "y"), 21),
        (("servers", 1), 22),
        (("servers", 1, "deep", 0, "z"), 24),
        (("servers", 1, "deep", 1, "z", 1, 0), 27),
    ],
)
def test_a_key_is_found_on_its_line(path: KeyPath, line: int) -> None:
    assert key_lines(HARD)[path] == line


def test_windows_line_ends_count_as_one_line() -> None:
    text = '[memory]\r\n# note\r\nurl = "x"\r\n'
    assert tomllib.loads(text)
    assert key_lines(text)[("memory", "url")] == 3


keys = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=("Cc", "Cs")), max_size=6),
)
strings = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=("Cc", "Cs")), max_size=12)
scalars = st.one_of(st.integers(-9, 10**6), st.booleans(), strings, st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)


def written(value: Any) -> str:
    """A value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{spelled(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {written(item)}, # ] }} =\n" for item in value) + "]"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def spelled(key: str) -> str:
    bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)


def document(tables: dict[str, dict[str, Any]], arrays: dict[str, list[dict[str, Any]]]) -> str:
    lines: list[str] = []
    for name, table in tables.items():
        lines += [f"[{spelled(name)}] # [x]", *(f"{spelled(key)} = {written(value)}" for key, value in table.items())]
    for name, items in arrays.items():
        for item in items:
            lines += [f"[[{spelled(name)}]]", *(f"{spelled(key)}={written(value)}" for key, value in item.items())]
    return "\n".join(lines)


@given(
    # Names of arrays begin with a mark that names of tables don't have: TOML forbids a name that is both.
    st.dictionaries(
        keys.filter(lambda key: not key.startswith("~")), st.dictionaries(keys, values, max_size=3), max_size=3
    ),
    st.dictionaries(
        keys.map(lambda key: "~" + key),
        st.lists(st.dictionaries(keys, values, max_size=2), min_size=1, max_size=3),
        max_size=2,
    ),
)
def test_any_document_is_located_as_tomllib_reads_it(
    tables: dict[str, dict[str, Any]], arrays: dict[str, list[dict[str, Any]]]
) -> None:
    text = document(tables, arrays)
    lines = key_lines(text)
    assert set(lines) == set(paths(tomllib.loads(text)))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert spelled(path[-1]) in text.split("\n")[line - 1]
