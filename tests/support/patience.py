"""Deadlines for machines that are shared: a run is given more time until it got where the test wants it to end."""

from __future__ import annotations

from collections.abc import Callable


def given_time(attempt: Callable[[float], object], seconds: float = 1.0, most: float = 60.0) -> None:
    """Call `attempt` with a deadline, and with one twice as long as long as it returns nothing true.

    What the attempt promises it asserts itself, each time; only that it came too late to show it is no failure.
    """
    while not attempt(seconds):
        seconds *= 2
        assert seconds <= most, f"the state was not even reached with a deadline of {seconds / 2} s"
