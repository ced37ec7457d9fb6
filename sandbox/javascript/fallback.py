"""What runs where JavaScript can't: a function of the caller's, or Python code in the Python sandbox that there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.settings import SandboxSettings

Fallback = str | Callable[[Mapping[str, Any]], Any]
"""Python code, in which `context` is a dict and whose last expression is the result; or a function of that dict."""


def fall_back(
    fallback: Fallback, context: Mapping[str, Any], settings: SandboxSettings | None, timeout: float
) -> tuple[Any, str]:
    """Run it.

    Args:
        fallback: what to run. Code is never run outside of a sandbox; a function is the caller's own, and is.
        context: what the JavaScript would have got.
        settings: of the sandbox.
        timeout: seconds that code may run.

    Returns:
        Its result, and what it printed.

    Raises:
        Exception: whatever it raised.
    """
    if callable(fallback):
        return fallback(context), ""
    from sandbox.backend import select

    limits = (settings or SandboxSettings()).model_copy(update={"step_timeout": timeout, "warm": 0})
    backend = select(limits)
    try:
        with backend.open() as box:
            box.send_variables({"context": dict(context)})
            done = box(fallback)
            return done.output, str(done.logs)
    finally:
        backend.close()
