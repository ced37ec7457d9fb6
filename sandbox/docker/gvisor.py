"""What is different under gVisor, a kernel of its own between a box and the host's: known by what the engine starts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME: Final = "runsc"
"""Of gVisor's program, and of the runtime that is taken for gVisor without being asked for."""
OWN_PROCESSES: Final = 64
"""Threads and processes of gVisor itself, which the host counts with those of the box; 40 to 50 were seen."""
OWN_MEMORY: Final = 32 * 1024 * 1024
"""Bytes of gVisor itself, the same; about 15 MiB were seen with one process in the box."""
_ROOT_NETWORK: Final = "network enabled in root network namespace"  # what releases of 2022 take every network for
_SHIM: Final = "io.containerd.runsc."
_REACHED: Final = {"open", "all"}
_OFF: Final = {"0", "f", "F", "false", "FALSE", "False"}  # as Go reads them


@dataclass(frozen=True, slots=True)
class Runtime:
    """A container runtime as an engine lists it.

    Attributes:
        name: that containers ask for it by.
        program: path, or type of a containerd shim; empty if the engine doesn't say.
        arguments: that the program always gets.
    """

    name: str
    program: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def gvisor(self) -> bool:
        """Whether it is gVisor: by its program, and only where that isn't told by its name."""
        program = self.program or self.name
        return program.startswith(_SHIM) or PurePath(program).name.startswith(NAME)

    @property
    def limited(self) -> bool:
        """Whether it puts a box into the control groups that bound its memory, processors and processes."""
        return not self._is_on("ignore-cgroups")

    @property
    def reaches_sockets(self) -> bool:
        """Whether a box under it may connect to a socket of the host that is mounted into it: our direct way."""
        return self._flags.get("host-uds") in _REACHED or self._is_on("fsgofer-host-uds")

    @property
    def _flags(self) -> dict[str, str]:
        """What the arguments say, by name: to Go one dash is as good as two, `--x y` as `--x=y`; the last counts."""
        told: dict[str, str] = {}
        for each, following in pairwise((*self.arguments, "")):
            if each.startswith("-"):
                name, given, value = each.lstrip("-").partition("=")
                told[name] = value if given or following.startswith("-") else following
        return told

    def _is_on(self, name: str) -> bool:
        return self._flags.get(name, "0") not in _OFF


def listed(runtimes: Mapping[str, Any]) -> tuple[Runtime, ...]:
    """Read `Runtimes` of `GET /info`, in alphabetical order."""
    return tuple(_read(name, runtimes[name]) for name in sorted(runtimes))


def named(name: str | None, runtimes: Iterable[Runtime]) -> Runtime:
    """Return what is listed by a name; a runtime that isn't listed is known by its name alone."""
    wanted = name or ""
    return next((each for each in runtimes if each.name == wanted), Runtime(wanted))


def advice(refusal: str) -> str:
    """What to do about a container that gVisor did not start; empty where its words are not known."""
    return "; register runsc with --network=none: boxes have their loopback alone" if _ROOT_NETWORK in refusal else ""


def _read(name: str, said: Any) -> Runtime:
    about: Mapping[str, Any] = said if isinstance(said, dict) else {}
    program = about.get("path") or about.get("runtimeType") or ""
    return Runtime(str(name), str(program), tuple(str(each) for each in about.get("runtimeArgs") or ()))
