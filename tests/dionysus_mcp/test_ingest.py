"""Splitting: every piece is a verbatim part of its file, at the lines it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.ingest import jsonl, markdown
from dionysus_mcp.ingest.pieces import LIMIT, definitions, numbered, packed, paragraphs
from tests.dionysus_mcp.engines import BOTH_IN_ALL

ENGINES = BOTH_IN_ALL

GUIDE = """\
# Queue

We chose RabbitMQ.
It is known.

## Why

Because operators know it.

```sh
# not a heading

run it
```

### Costs

- five
- six

# Cache
None.
"""


def pieces(text, split=markdown.blocks):
    return list(packed(split(numbered(text.splitlines(keepends=True)))))


def test_markdown_is_cut_at_headings_and_knows_them():
    assert [(piece.headings, piece.first, piece.last) for piece in pieces(GUIDE)] == [
        (("Queue",), 3, 4),
        (("Queue", "Why"), 8, 14),
        (("Queue", "Why", "Costs"), 18, 19),
        (("Cache",), 22, 22),
    ]


def test_a_hash_in_a_code_block_is_no_heading():
    assert "# not a heading\n\nrun it" in pieces(GUIDE)[1].content


def test_a_skipped_heading_level_does_not_confuse_the_path():
    assert pieces("### Deep\ntext\n# Top\nmore\n")[0].headings == ("Deep",)
    assert pieces("### Deep\ntext\n# Top\nmore\n")[1].headings == ("Top",)


def test_source_code_is_cut_between_definitions():
    code = "import a\n\n\ndef one():\n    x = 1\n\n    return x\n" + "\n\n" + "def two():\n" + "    y = 2\n" * 130
    blocks = list(definitions(numbered(code.splitlines())))
    assert blocks[1].content == "def one():\n    x = 1\n\n    return x"
    assert (blocks[1].first, blocks[1].last) == (4, 7)


@pytest.mark.parametrize("split", [paragraphs, markdown.blocks, definitions])
def test_a_piece_has_a_limit_whatever_comes(split):
    texts = ["word " * 5000, "x" * 50_000, "line\n" * 5000, "A sentence. " * 900, "```\n" + "a\n" * 3000]
    for text in texts:
        found = pieces(text, split)
        assert found
        assert all(len(piece.content) <= LIMIT for piece in found)


LINES = st.lists(
    st.sampled_from(["", " ", "# H", "## I", "```", "~~~", "text one", "  indented", "def f():", "- x", "y" * 1500])
    | st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60),
    max_size=60,
)


@given(LINES, st.sampled_from([paragraphs, markdown.blocks, definitions]))
def test_every_piece_is_at_the_lines_that_it_says(lines, split):
    text = [line + "\n" for line in lines]
    end = 0
    for piece in packed(split(numbered(text))):
        assert 1 <= piece.first <= piece.last <= len(lines)
        assert piece.first >= end
        end = piece.last
        there = "\n".join(lines[piece.first - 1 : piece.last])
        words = piece.content.split()
        assert words
        assert words[0] in there
        if piece.first < piece.last and len(piece.content) < LIMIT - 10:
            assert piece.content.split() == there.split() or len(there) > len(piece.content)


@given(LINES)
def test_no_word_of_a_text_is_lost(lines):
    text = [line + "\n" for line in lines]
    kept = "".join("".join(piece.content.split()) for piece in packed(paragraphs(numbered(text))))
    assert kept == "".join("".join(line.split()) for line in lines)


def test_jsonl_entries_carry_what_they_may_and_bad_lines_are_told_apart():
    lines = [
        '{"content": "hi", "speaker": "Ann", "occurred_at": "2024-05-01T12:00:00", "importance": 0.9}',
        "",
        '{"speaker": "Ann"}',
        '{"content": "x", "importance": 3}',
        '{"content": "x", "colour": "red"}',
        "not json",
    ]
    found = list(jsonl.entries(numbered(lines)))
    number, entry = found[0]
    assert (number, entry.content, entry.speaker, entry.importance) == (1, "hi", "Ann", 0.9)
    assert entry.occurred_at.isoformat() == "2024-05-01T12:00:00+00:00"
    bad = {line.number: line.reason for line in found[1:]}
    assert set(bad) == {3, 4, 5, 6}
    assert bad[3].startswith("content:")
    assert bad[4].startswith("importance:")
    assert bad[5].startswith("colour:")
    assert "JSON" in bad[6]
