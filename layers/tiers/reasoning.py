"""What a model thinks before it answers, where an endpoint leaves it in the answer's text: `<think>…</think>`."""

from __future__ import annotations

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)
_OPEN, _CLOSE = "<think>", "</think>"


def without_reasoning(text: str) -> str:
    """Return an answer without the thinking before it; an answer that broke off while thinking is empty.

    Some chat templates open the tag in the prompt, so that the text has the closing one alone.
    """
    if text.lstrip().startswith(_OPEN):
        return text.partition(_CLOSE)[2].lstrip()
    before, closed, after = text.partition(_CLOSE)
    return after.lstrip() if closed and _OPEN not in before and "<code>" not in before else text


class AnswerSink:
    """Passes an answer's pieces on, from the end of its thinking to its first stop sequence.

    Args:
        on_token: who gets the pieces.
        stop: sequences at which an answer ends, should the endpoint ignore them.
    """

    def __init__(self, on_token: Callable[[str], object], stop: tuple[str, ...] = ()) -> None:
        self._on_token = on_token
        self._stop = stop
        self._text = ""
        self._passed = 0
        self._over = False

    def feed(self, piece: str) -> None:
        """Take the next piece."""
        if self._over or not piece:
            return
        self._text += piece
        self._pass(self._end(of_all=False))

    def finish(self) -> None:
        """Pass on what was held back; the answer is complete."""
        if not self._over:
            self._pass(self._end(of_all=True))

    def _end(self, *, of_all: bool) -> int:
        """Return where the part ends that is certainly answer."""
        text = self._text
        if self._passed == 0:
            begin = _begin(text, of_all=of_all)
            if begin is None:
                return 0
            self._passed = begin
        # No further back than a stop sequence can reach: all of the text again for every piece would be quadratic.
        longest = max((len(stop) for stop in self._stop), default=0)
        hits = [text.find(stop, max(0, self._passed - longest)) for stop in self._stop]
        cuts = [hit for hit in hits if hit >= self._passed]
        if cuts:
            self._over = True
            return min(cuts)
        return len(text) if of_all else len(text) - _held(text, self._stop)

    def _pass(self, end: int) -> None:
        if end > self._passed:
            piece, self._passed = self._text[self._passed : end], end
            try:
                self._on_token(piece)
            except Exception:  # noqa: BLE001 - promise: who watches a run can't end it
                self._over = True
                _log.exception("A consumer of tokens failed; it gets no more of this answer.")


def _begin(text: str, *, of_all: bool) -> int | None:
    """Return where the answer begins; `None` while that can't be known."""
    start = len(text) - len(text.lstrip())
    opened = text[start : start + len(_OPEN)]
    if opened == _OPEN:
        closed = text.find(_CLOSE, start)
        return None if closed < 0 else closed + len(_CLOSE)
    return None if _OPEN.startswith(opened) and not of_all else 0


def _held(text: str, stop: tuple[str, ...]) -> int:
    """Return how many characters at the end may be the beginning of a stop sequence."""
    longest = max((len(sequence) for sequence in stop), default=0)
    for size in range(min(longest - 1, len(text)), 0, -1):
        tail = text[-size:]
        if any(sequence.startswith(tail) for sequence in stop):
            return size
    return 0
