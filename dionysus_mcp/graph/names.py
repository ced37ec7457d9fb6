"""Names in their normal form. Equal forms are the same entity; nothing that is only near is ever made one."""

import hashlib
import re
import unicodedata

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope

LONGEST = 120
"""Characters of a name."""
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_OWNING = re.compile(r"['’]s?$")
_ARTICLE = re.compile(r"^(?:the|a|an)\s+(?=\S)", re.IGNORECASE)
_TITLE = re.compile(r"^(?:mr|mrs|ms|dr|prof|sir|professor|doctor)\.?\s+(?=\S)", re.IGNORECASE)
_EDGES = " \t\n.,;:!?\"'“”‘’«»()[]{}<>*_`~|/\\-–—"


def shown(name: str) -> str:
    """A name as it is kept: on one line, without characters that have no shape or turn the direction of a text."""
    plain = "".join(" " if each.isspace() else each for each in name if each.isprintable() or each.isspace())
    return " ".join(plain.split()).strip(_EDGES)


def key_of(name: str) -> str:
    """The normal form: no article, title, owner's s or capitals, and one way to write each character.

    Accents stay: "Jose" may be another than "José".
    """
    plain = " ".join(unicodedata.normalize("NFKC", shown(name)).casefold().split())
    bare = _OWNING.sub("", _TITLE.sub("", _ARTICLE.sub("", plain))).strip(_EDGES)
    return bare or plain


def checked_name(what: str, name: str) -> str:
    """A name that somebody gives, as it is kept.

    Raises:
        MemoryStoreError: if nothing is left of it, or it is too long for a name.
    """
    kept = shown(name)
    if not kept or not key_of(kept):
        raise MemoryStoreError(f"The {what} {name[:40]!r} has no letter or digit that a name could be made of.")
    if len(kept) > LONGEST:
        raise MemoryStoreError(f"The {what} has {len(kept)} characters; a name may have {LONGEST}.")
    return kept


def checked_type(given: str) -> str:
    """The type of a relation: "Works at" and "works-at" are `works_at`.

    Raises:
        MemoryStoreError: if it is no such word.
    """
    made = re.sub(r"[\s-]+", "_", given.strip().lower())
    if not _TYPE.fullmatch(made):
        raise MemoryStoreError(
            f"{given[:60]!r} can't be the type of a relation: use up to 40 letters a-z, digits and underscores, such "
            "as works_at."
        )
    return made


def entity_id(scope: Scope, key: str) -> str:
    """The id of the entity with this key in this scope."""
    return f"e-{_digest(scope.tenant, scope.project, key)}"


def relation_id(scope: Scope, *parts: str | int | None) -> str:
    """The id of one piece of evidence for a relation: what it says, of whom, on which ground."""
    return f"r-{_digest(scope.tenant, scope.project, *parts)}"


def _digest(*parts: str | int | None) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:20]
