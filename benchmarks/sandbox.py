"""A step in our container beside `docker exec` of a Python in a warm one, and a cold start beside `docker run`.

Both sides use one image, one engine and the same limits, by turns in one process; theirs through Docker's SDK as well.

    python benchmarks/sandbox.py --steps 300 --starts 10

Prints medians in milliseconds and the ratios theirs / ours. smolagents' own DockerExecutor joins in on an engine that
can publish ports, with an image that has its Jupyter gateway, and needs the package websocket-client:

    dionysus sandbox build --tag jupyter-kernel --with jupyter-kernel-gateway ipykernel
    python benchmarks/sandbox.py --smolagents jupyter-kernel
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

# Python puts a script's own folder first, where this file would be taken for the package that it measures.
sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

from sandbox import DockerBackend, JavaScriptSandbox, SandboxSettings  # noqa: E402
from sandbox.docker.detect import connect  # noqa: E402
from sandbox.docker.launch import host_config  # noqa: E402

CODE = "print(1 + 1)"
JAVASCRIPT = "console.log(1 + 1)"
_ROUND = 20  # steps of ours for one `docker exec`
_WARM_TIME = 2.0  # seconds in which a box that was taken from the pool is surely replaced


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of each kind")
    parser.add_argument("--starts", type=int, default=10, help="containers of each kind")
    parser.add_argument("--smolagents", metavar="IMAGE", help="beside smolagents' DockerExecutor in this image, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    settings = SandboxSettings(warm=0)
    with closing(connect(settings)) as api:
        backend = DockerBackend(settings)
        pool = DockerBackend(SandboxSettings(warm=1))
        try:
            found = (
                steps(backend, api, options.steps)
                | javascript(backend, api, options.steps)
                | starts(backend, pool, api, options.starts)
                | (smolagents(backend, options.smolagents, options.steps) if options.smolagents else {})
            )
        finally:
            backend.close()
            pool.close()
    figures = found | {
        "docker_exec_per_step": found["docker_exec"] / found["step"],
        "docker_exec_node_per_step": found["docker_exec_node"] / found["javascript_step"],
        "call_per_step": found["step_with_a_host_call"] / found["step"],
        "docker_run_per_cold_start": found["docker_run"] / found["cold_start"],
    }
    if options.smolagents:
        figures["smolagents_per_step"] = found["smolagents_step"] / found["step_beside_smolagents"]
        figures["smolagents_per_cold_start"] = found["smolagents_start"] / found["cold_start"]
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        unit = "x " if "per" in name.split("_") else "ms"
        print(f"{name.replace('_', ' '):<28}{figure:10.2f} {unit}")


def steps(backend: DockerBackend, api: Any, count: int) -> dict[str, float]:
    """Medians of a step, a step with one host call, and `docker exec` of a Python in a container of the same limits."""
    with backend.open() as box:
        step, call, theirs = _by_turns(box, ("answer()", CODE), ["python3", "-c", CODE], backend, api, count)
    return {"step": step, "step_with_a_host_call": call, "docker_exec": theirs}


def javascript(backend: DockerBackend, api: Any, count: int) -> dict[str, float]:
    """Medians of the same in JavaScript, beside a Node; and the time until a new container has run its first step."""
    with JavaScriptSandbox(backend=backend) as box:
        start = _timed(lambda: box(JAVASCRIPT))
        codes = ("await tools.answer()", JAVASCRIPT)
        step, call, theirs = _by_turns(box, codes, ["node", "-e", JAVASCRIPT], backend, api, count)
    return {
        "javascript_start": start,
        "javascript_step": step,
        "javascript_step_with_a_call": call,
        "docker_exec_node": theirs,
    }


def _by_turns(
    box: Any, codes: tuple[str, str], command: list[str], backend: DockerBackend, api: Any, count: int
) -> tuple[float, float, float]:
    """Medians of a step, a step with a call, and theirs; by turns, as other work on the machine comes and goes."""
    with_a_call, code = codes
    step: list[float] = []
    call: list[float] = []
    theirs: list[float] = []
    other = _container(backend, api, ["sleep", "600"])
    api.start(other)
    try:
        box.send_tools({"answer": lambda: 42})
        box(code)
        for _ in range(max(5, count // _ROUND)):
            step += [_timed(lambda: box(code)) for _ in range(_ROUND)]
            call += [_timed(lambda: box(with_a_call)) for _ in range(_ROUND)]
            theirs.append(_timed(lambda: _exec(api, other, command)))
    finally:
        api.remove_container(other, force=True)
    return statistics.median(step), statistics.median(call), statistics.median(theirs)


def starts(backend: DockerBackend, pool: DockerBackend, api: Any, count: int) -> dict[str, float]:
    """Medians from nothing to the first result: ours cold, ours from the pool, and a hardened `docker run`."""
    cold: list[float] = []
    warm: list[float] = []
    run: list[float] = []
    for _ in range(count):
        cold.append(_first_result(backend))
        time.sleep(_WARM_TIME)
        warm.append(_first_result(pool))
        time.sleep(_WARM_TIME)
        run.append(_timed(lambda: _run(backend, api)))
    return {
        "cold_start": statistics.median(cold),
        "warm_start": statistics.median(warm),
        "docker_run": statistics.median(run),
    }


def smolagents(backend: DockerBackend, image: str, count: int) -> dict[str, float]:
    """Medians of a step of ours and of smolagents' DockerExecutor by turns, and the one time that it took to start."""
    from smolagents.monitoring import AgentLogger, LogLevel
    from smolagents.remote_executors import DockerExecutor

    command = ["python3", "-m", "kernel_gateway", "--KernelGatewayApp.ip=0.0.0.0", "--KernelGatewayApp.port=8888"]
    begun = time.perf_counter()
    executor = DockerExecutor(
        [],
        AgentLogger(level=LogLevel.ERROR),
        image_name=image,
        build_new_image=False,
        container_run_kwargs={"command": command},
    )
    try:
        executor.run_code_raise_errors(CODE)
        start = (time.perf_counter() - begun) * 1000
        step: list[float] = []
        theirs: list[float] = []
        with backend.open() as box:
            box(CODE)
            for _ in range(max(5, count // _ROUND)):
                step += [_timed(lambda: box(CODE)) for _ in range(_ROUND)]
                theirs.append(_timed(lambda: executor.run_code_raise_errors(CODE)))
    finally:
        executor.cleanup()
    return {
        "step_beside_smolagents": statistics.median(step),
        "smolagents_step": statistics.median(theirs),
        "smolagents_start": start,
    }


def _first_result(backend: DockerBackend) -> float:
    with backend.open() as box:
        return _timed(lambda: box(CODE))


def _run(backend: DockerBackend, api: Any) -> None:
    container = _container(backend, api, ["python3", "-c", CODE])
    output = api.attach(container, stream=True)
    api.start(container)
    if b"".join(output).strip() != b"2":
        raise SystemExit("the other side did not run")


def _container(backend: DockerBackend, api: Any, command: list[str]) -> str:
    hardened = host_config(backend.settings, 200_000, None)
    created = api.create_container(backend.image.id, command=command, user="200000:200000", host_config=hardened)
    return str(created["Id"])


def _exec(api: Any, container: str, command: list[str]) -> None:
    asked = api.exec_create(container, command)
    if api.exec_start(asked["Id"]).strip() != b"2":
        raise SystemExit("the other side did not run")


def _timed(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
