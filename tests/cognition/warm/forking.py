"""Forks memory servers off a process that has imported what they need; run as a program, ends with its input."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import selectors
import signal
import socket
import sys
import threading
from importlib import import_module

# All but onnxruntime, which starts a thread.
_LOADED = (
    *("dionysus_mcp.server", "dionysus_mcp.service", "dionysus_mcp.prompts", "dionysus_mcp.resources"),
    *("dionysus_mcp.tools", "dionysus_mcp.models.endpoint", "dionysus_mcp.embedding", "dionysus_mcp.store.sqlite"),
    *("dionysus_mcp.serving.arguments", "dionysus_mcp.serving.audit", "dionysus_mcp.serving.policy"),
    *("dionysus_mcp.serving.quoting", "dionysus_mcp.serving.scopes", "dionysus_mcp.serving.stdio"),
    *("dionysus_mcp.graph.worker", "dionysus_mcp.graph.sql", "dionysus_mcp.graph.model_reader"),
    *("dionysus_mcp.recall.search", "dionysus_mcp.consolidation.strengths", "dionysus_mcp.consolidation.shadows"),
    *("observability.writer", "observability.recorder", "observability.content", "opentelemetry.sdk.trace"),
    *("mcp.server.stdio", "sqlalchemy.dialects.sqlite.pysqlite", "tokenizers"),
    *("numpy", "psutil", "argparse"),
)


class _Forking:
    """Every request for a server becomes a child, whose end is told to the one that asked."""

    def __init__(self, address: str) -> None:
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(address)
        self._listening.listen(64)
        self._sources = selectors.DefaultSelector()
        self._sources.register(self._listening, selectors.EVENT_READ)
        self._sources.register(0, selectors.EVENT_READ)
        self._children: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells of its end

    def serve(self) -> None:
        """Fork until the input ends; returns in each child too, as a memory server that is to begin."""
        while True:
            for key, _ in self._sources.select():
                if key.fileobj is self._listening:
                    if self._fork():
                        return
                elif key.fileobj == 0:
                    self._end_all()
                elif isinstance(key.fileobj, int):
                    self._tell(key.fileobj)
                else:
                    self._kill_for(key.fileobj)

    def _fork(self) -> bool:
        asked, _ = self._listening.accept()
        length, streams, _, _ = socket.recv_fds(asked, 8, 3)
        told = _exactly(asked, int.from_bytes(length, "big"))
        pid = os.fork()
        if not pid:
            self._begin(streams, told)
            return True
        for each in streams:
            os.close(each)
        ended = os.pidfd_open(pid)
        self._children[ended] = (pid, asked)
        self._sources.register(ended, selectors.EVENT_READ)
        self._sources.register(asked, selectors.EVENT_READ)
        with contextlib.suppress(OSError):  # who asked is gone: the selector sees it next
            asked.sendall(pid.to_bytes(8, "big"))
        return False

    def _begin(self, streams: list[int], told: bytes) -> None:
        for number, each in enumerate(streams):
            os.dup2(each, number)
        os.closerange(3, 1024)
        folder, *environment = told.split(b"\0")
        os.chdir(folder)
        os.environb.clear()
        os.environb.update(each.split(b"=", 1) for each in environment)

    def _tell(self, ended: int) -> None:
        pid, asked = self._children.pop(ended)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            asked.sendall(code.to_bytes(8, "big", signed=True))
        for each in (ended, asked):
            self._sources.unregister(each)
        os.close(ended)
        asked.close()

    def _kill_for(self, asked: object) -> None:
        """Kill the server of one that is gone; its end is seen next, where it is forgotten."""
        for pid, asker in self._children.values():
            if asker is asked:
                os.kill(pid, signal.SIGKILL)

    def _end_all(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _exactly(source: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length:
        read += source.recv(length - len(read))
    return read


def main() -> None:
    from dionysus_mcp.serving.threads import one_thread_each

    one_thread_each()
    for name in _LOADED:
        import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a thread would not be there after a fork"
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C in the terminal of the tests is for the tests
    forking = _Forking(sys.argv[1])
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    forking.serve()
    _be_a_server()


def _be_a_server() -> None:
    from dionysus_mcp.server import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["dionysus_mcp.server"]
    code = 1
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
