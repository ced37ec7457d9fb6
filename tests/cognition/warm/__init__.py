"""Memory servers for tests, forked from a process that has imported all that a server needs.

A server that starts from nothing spends seconds of a processor on imports, and nearly every test of a mind or a command
starts one. Here each is still a process of its own, with the pipes, the environment and the folder that its client
gives it; only the imports are shared. What starts for its own sake (a crash at the start, a folder that shadows ours,
the installed package) is tested without this in `tests/dionysus_mcp` and `tests/clone`.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dionysus_mcp.targets import StdioServer

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[2]


@contextmanager
def warm_memory_servers() -> Generator[Callable[[], object]]:
    """Have every mind and command of this process start its memory server so.

    Gives what starts the process that forks them, which the first of them does otherwise.
    """
    import cognition.parts
    import dionysus_mcp.client

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        started = functools.cache(lambda: stack.enter_context(_forking()))
        warm = _forked(dionysus_mcp.client.memory_server, started)
        for user in (dionysus_mcp.client, cognition.parts):
            patch.setattr(user, "memory_server", warm)
        yield started


@contextmanager
def one_embedding_model() -> Generator[None]:
    """Have commands that embed in this process load the model once: it is the same, and takes half a second."""
    from dionysus_mcp.embedding import MiniLm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MiniLm, "load", functools.cache(MiniLm.load))
        yield


@contextmanager
def _forking() -> Generator[str]:
    """Run the process that forks, and give the address at which it is asked."""
    with (
        tempfile.TemporaryDirectory(prefix="warm-") as folder,
        subprocess.Popen(
            [sys.executable, "-P", str(_HERE / "forking.py"), f"{folder}/asked"],
            stdin=subprocess.PIPE,  # its end is this one's end
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PYTHONPATH": str(_ROOT), "PATH": "/usr/bin:/bin", "HOME": folder},
        ) as forking,
    ):
        assert forking.stdout is not None
        assert forking.stdout.readline() == b"listening\n"
        yield f"{folder}/asked"
        forking.communicate(timeout=60)


def _forked(made: Callable[..., StdioServer], started: Callable[[], str]) -> Callable[..., StdioServer]:
    @functools.wraps(made)
    def forked(*settings: object, **more: object) -> StdioServer:
        server = made(*settings, **more)
        # -I -S: this one only hands over what it was given, and is there in hundredths of a second.
        arguments = ("-I", "-S", str(_HERE / "asking.py"), started(), *server.args)
        return server.model_copy(update={"args": arguments})

    return forked
