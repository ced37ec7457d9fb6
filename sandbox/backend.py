"""Backends: who opens sandboxes, and which one is taken.

`cognition` calls `select` once and hands the backend to the layers; a layer opens one sandbox for each agent run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from sandbox.executor import Sandbox
    from sandbox.settings import SandboxSettings


class Backend(Protocol):
    """A way to run generated code. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """The name it has in the settings."""
        ...

    @property
    def guidance(self) -> str:
        """For the prompt: which Python this is, what can be imported, what it lacks."""
        ...

    @property
    def notice(self) -> str | None:
        """What the user must know about this choice, or None."""
        ...

    def open(
        self,
        *,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Sandbox:
        """Open a sandbox for one agent run.

        Args:
            tracer: records every execution as a span; None records nothing.
            stop: when set, running code ends and `ExecutionStopped` is raised.
            deadline: the same at this moment of `time.monotonic()`, in seconds.
            files: put into the sandbox before the first step.

        Raises:
            SandboxUnavailable: no sandbox can be opened now, or the backend is closed.
        """
        ...

    def close(self) -> None:
        """End every sandbox and process of this backend. May be called again."""
        ...


def select(settings: SandboxSettings) -> Backend:
    """Choose the backend that the settings ask for.

    `auto` takes a container when one can be had and the embedded interpreter otherwise, and then says so in `notice`.
    `unsafe-local` is taken only when it is named.

    Raises:
        SandboxUnavailable: a backend was named that isn't there; the message says what to set instead.
    """
    if settings.backend != "auto":
        return _BACKENDS[settings.backend](settings, None)
    try:
        return _docker(settings, None)
    except SandboxUnavailable as missing:
        reason, _, advice = str(missing).partition(": ")
        instead = f"; for containers {advice}" if advice.startswith("type ") else ""
        return _monty(
            settings,
            f"{reason}: code runs in the embedded interpreter monty "
            f"(a subset of Python, no access to the operating system){instead}",
        )


def _docker(settings: SandboxSettings, notice: str | None) -> Backend:
    from sandbox.docker.backend import DockerBackend

    return DockerBackend(settings, notice=notice)


def _monty(settings: SandboxSettings, notice: str | None) -> Backend:
    from sandbox.monty import MontyBackend

    return MontyBackend(settings, notice=notice)


def _unsafe_local(settings: SandboxSettings, notice: str | None) -> Backend:
    from sandbox.unsafe_local import UnsafeLocalBackend

    return UnsafeLocalBackend(settings)


_BACKENDS: Mapping[str, Callable[[SandboxSettings, str | None], Backend]] = {
    "docker": _docker,
    "monty": _monty,
    "unsafe-local": _unsafe_local,
}
