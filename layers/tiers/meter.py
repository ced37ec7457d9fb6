"""What calls use that give no whole answer: what a provider has read and written it bills, also when we break off.

The tier's model writes it while a call is under way; `layers.tiers.model`, on another thread, reads it when a run stops
in the middle of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layers.run.budget import Usage
from layers.run.signals import RunStopped
from layers.tiers.tokens import likely_tokens

if TYPE_CHECKING:
    from layers.tiers.pricing import Price


class Call:
    """One call that is under way.

    Args:
        prompt_tokens: estimates the tokens of its prompt.
        price: what a token costs; `None` if that is not known.
    """

    def __init__(self, prompt_tokens: Callable[[], int], price: Price | None) -> None:
        self._prompt_tokens = prompt_tokens
        self._price = price
        self._said: list[str] = []
        self._unread = False

    @property
    def answered(self) -> bool:
        """Whether anything of an answer has come."""
        return bool(self._said) or self._unread

    def hear(self, text: str) -> None:
        """Take a piece of the answer, or of the thinking before it."""
        if text:
            self._said.append(text)

    def lose(self) -> None:
        """Take note that an answer came which can't be read: it is billed all the same."""
        self._unread = True

    def usage(self) -> Usage:
        """Return what it has used so far, as an estimate."""
        read, wrote = self._prompt_tokens(), likely_tokens("".join(self._said))
        usd = None if self._price is None else self._price.cost(read, wrote)
        return Usage(input_tokens=read, output_tokens=wrote, usd=usd, estimated=True)


class Meter:
    """The calls of one request that were broken off, or are under way."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._billed = Usage()

    def bill(self, usage: Usage) -> None:
        """Add what a call used that ended well and said nothing, as its provider counted it."""
        self._billed += usage

    @contextmanager
    def call(self, prompt_tokens: Callable[[], int], price: Price | None) -> Generator[Call]:
        """Keep a call on the meter while it is under way, and afterwards if it was broken off.

        A call that we break off stays: the provider has the prompt. One that fails by itself stays if a part of its
        answer had come. One that ends well goes, since its reply has the provider's own counts.
        """
        call = Call(prompt_tokens, price)
        self._calls.append(call)
        stays = False
        try:
            yield call
        except BaseException as error:
            stays = call.answered or isinstance(error, asyncio.CancelledError | RunStopped)
            raise
        finally:
            if not stays:
                self._calls.remove(call)

    def usage(self) -> Usage | None:
        """Return what the calls on the meter have used, as an estimate where they broke off; `None` if nothing."""
        used = sum((call.usage() for call in list(self._calls)), self._billed)
        return None if used == Usage() else used
