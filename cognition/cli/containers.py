"""The Docker engine and the image, in words: for `dionysus doctor` and `dionysus sandbox status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from cognition.cli.check import Check, State
from cognition.cli.output import one_line

if TYPE_CHECKING:
    from sandbox import SandboxSettings
    from sandbox.docker.detect import Engine
    from sandbox.docker.image import Image

_ANSWER = 10  # seconds that an engine has for one answer
_NOT_GVISOR = "Register gVisor's own program by that name, or take the name off."
_NO_GROUPS = "It ignores control groups: a box may take all that the host has. Register it without --ignore-cgroups. "
_NO_SOCKETS = (
    "Register it with --host-uds=open: then process 1 speaks to us by a socket,"
    " which code in the box can't open a second time."
)
_MANY = 12  # packages that are named


def container_checks(settings: SandboxSettings) -> Iterator[Check]:
    """Look at engine and image where containers may be used: `auto` can do without, `docker` can't."""
    if settings.backend not in ("auto", "docker"):
        return
    from sandbox import SandboxUnavailable
    from sandbox.docker.detect import choose_runtime, connect, facts
    from sandbox.docker.image import find

    missing: State = "fail" if settings.backend == "docker" else "warn"
    part = "engine"
    try:
        with closing(connect(settings, timeout=_ANSWER)) as api:
            engine = facts(api)
            yield engine_check(engine)
            yield runtime_check(choose_runtime(engine, settings.runtime), engine)
            part = "image"
            yield image_check(find(api, settings.image))
    except SandboxUnavailable as error:
        finding, _, advice = one_line(str(error), 600).partition(": ")
        yield Check(part, missing, finding, advice[:1].upper() + advice[1:])


def engine_check(engine: Engine) -> Check:
    """Say what the engine is, and which limits it can't enforce."""
    finding = f"Docker {engine.version} (API {engine.api_version}) at {engine.address}: {_standing(engine)}"
    lacks: list[str] = []
    if engine.missing_limits:
        lacks.append(
            f"It can't enforce limits of {', '.join(engine.missing_limits)}: a box may take all that the host has."
            + (" Rootless Docker needs cgroup v2 with delegation for them." if engine.rootless else "")
        )
    if not engine.seccomp:
        lacks.append("It filters no system calls: start it without `seccomp=unconfined`.")
    return Check("engine", "warn" if lacks else "ok", finding, " ".join(lacks))


def runtime_check(runtime: str | None, engine: Engine) -> Check:
    """Say what containers run under.

    Args:
        runtime: that was chosen; None for the engine's own.
        engine: that has it.
    """
    from sandbox.docker.gvisor import NAME, named

    name = runtime or engine.default_runtime or "the engine's own"
    started = named(name, engine.programs)
    what = f"{name} ({' '.join((started.program, *started.arguments))})" if started.program else name
    if not started.gvisor:
        posing = NAME in name
        finding = f"{what}: the host's own kernel" + (", since that program isn't gVisor's runsc" if posing else "")
        return Check("runtime", "warn" if posing else "ok", finding, _NOT_GVISOR if posing else "")
    lacks = "" if started.limited else _NO_GROUPS
    lacks += "" if started.reaches_sockets else _NO_SOCKETS
    return Check(
        "runtime", "ok" if started.limited else "warn", f"{what}: gVisor's kernel between code and host", lacks
    )


def image_check(image: Image) -> Check:
    """Say what the image holds, and the id that pins it."""
    short = image.id.removeprefix("sha256:")[:12]
    if image.python is None:
        return Check("image", "ok", f"{image.name} ({short}), not made by us: what it holds shows when it runs")
    node = f"Node {image.node}" if image.node else "no Node"
    shown = ", ".join(image.packages[:_MANY]) or "no packages"
    more = f" and {len(image.packages) - _MANY} more" if len(image.packages) > _MANY else ""
    return Check("image", "ok", f"{image.name} ({short}): Python {image.python}, {node}, {shown}{more}")


def _standing(engine: Engine) -> str:
    """The facts that decide how much a container holds back, strongest first."""
    facts = (
        "remote" if engine.remote else "",
        "rootless" if engine.rootless else "as root",
        "user namespaces" if engine.userns_remap else "" if engine.rootless else "no user namespaces",
        "runsc (gVisor) registered" if engine.runsc else "no runsc",
        "seccomp" if engine.seccomp else "no seccomp",
        "AppArmor" if engine.apparmor else "",
        f"cgroup v{engine.cgroup}",
        engine.architecture,
    )
    return ", ".join(fact for fact in facts if fact)
