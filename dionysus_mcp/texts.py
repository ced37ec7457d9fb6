"""Texts that people and models give as statements and reasons: trimmed, of bounded length, storable."""

from dionysus_mcp.errors import MemoryStoreError

STATEMENT_LIMIT = 4000
"""Characters of a statement, a reason or a context."""


def text_of(what: str, given: str) -> str:
    """A text as it is stored.

    Raises:
        MemoryStoreError: if it is empty, too long, or no text.
    """
    trimmed = given.strip()
    if not trimmed or len(trimmed) > STATEMENT_LIMIT:
        raise MemoryStoreError(f"The {what} must have 1 to {STATEMENT_LIMIT:,} characters; it has {len(trimmed):,}.")
    if "\x00" in trimmed or any("\ud800" <= character <= "\udfff" for character in trimmed):
        raise MemoryStoreError(f"The {what} holds a NUL or half of a surrogate pair, which are no text; remove them.")
    return trimmed
