"""The clauses of a sentence: which of them speak of what a question asks, and which only come along.

Two sentences that share a subject are no rivals because one of them goes on to something else: "the lift was repaired
because Mrs Brandt complained" names nobody who repairs it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layers.analysis.words import cover, terms

if TYPE_CHECKING:
    from layers.analysis.questions import Question

_COVERED = 0.7
# Words that begin a clause; those that may as well begin "after eight" or "since June" do so before a pronoun alone.
_BORDER = re.compile(
    r"[,;:]\s+|[.!?]\s+|\s+[–—]\s+"
    r"|\s+(?=(?:because|while|where|which|who|whose|although|though|but|so that|whereas|unless)\b)"
    r"|\s+(?=(?:before|after|until|since|when|if|as)\s+(?:it|he|she|they|we|you|one|i)\b)",
    re.IGNORECASE,
)


def clauses(text: str) -> tuple[str, ...]:
    """Return the clauses of a text in order, with single blanks."""
    plain = " ".join(text.split())  # a memory of blanks alone would take the pattern a minute
    return tuple(piece for piece in (piece.strip() for piece in _BORDER.split(plain)) if piece)


def telling(question: Question, quote: str) -> tuple[str, int]:
    """Return the clauses of a quote that have the most of a question's words, and how many each of them has.

    A quote of one clause, or none of whose clauses has any, is returned whole.
    """
    pieces = clauses(quote)
    found = [_covered(question, piece) for piece in pieces]
    most = max(found, default=0)
    if not most:
        return quote, 0
    return "; ".join(piece for piece, covered in zip(pieces, found, strict=True) if covered == most), most


def _covered(question: Question, clause: str) -> int:
    words = frozenset(terms(clause))
    return sum(cover(term, words) >= _COVERED for term in question.terms)
