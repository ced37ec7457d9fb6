"""Opens sandboxes in containers, and tells the model what code can do there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sandbox.docker.boxes import Boxes
from sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from sandbox.docker.session import DockerSandbox

GUIDANCE: Final = """\
Your code runs in CPython {python} in a container of its own.
- All of the standard library can be imported{packages}. Nothing can be installed.
- {network}
- Files: relative names, in a folder of your own; {files} MiB together.
- Variables, functions, imports and files are kept from one code block to the next.
- A code block may run {timeout:g} s, with {memory} MiB of memory."""


_NO_NETWORK: Final = "There is no network: reach the outside only through your tools."
_NETWORK: Final = "Of the network only {names} can be reached, by HTTP(S), through the proxy that HTTPS_PROXY names."


class DockerBackend(Boxes):
    """Opens `DockerSandbox`es.

    Args:
        settings: the limits, the image, the engine, and how many containers are kept ready.
        notice: what the user must know about this choice.
        clock: the moment, in seconds.

    Raises:
        SandboxUnavailable: there is no engine, no image or no such runtime; the message says what to do.
    """

    name = "docker"

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        notice: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings or SandboxSettings(), clock=clock)
        self.notice = notice

    @property
    def guidance(self) -> str:
        """For the prompt: which Python this is and what can be imported."""
        packages = ", ".join(self.image.packages)
        return GUIDANCE.format(
            python=self.image.python or "3",
            packages=f", and {packages}" if packages else "",
            files=self.settings.files_limit >> 20,
            timeout=self.settings.step_timeout,
            memory=self.settings.memory >> 20,
            network=_NETWORK.format(names=", ".join(names)) if (names := self.settings.network) else _NO_NETWORK,
        )

    def open(
        self,
        *,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> DockerSandbox:
        """Open a sandbox for one agent run; see `Backend.open`."""
        from sandbox.docker.session import DockerSandbox  # late, since it brings smolagents along

        self._check_open()
        sandbox = DockerSandbox(
            limits=self.settings, tracer=tracer, stop=stop, deadline=deadline, files=files, backend=self
        )
        self._users.add(sandbox)
        return sandbox
