"""Things that listen where an engine should, and answer as engines don't."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def listening(path: Path, answer: bytes | None) -> Iterator[str]:
    """A Unix socket that says one and the same to everybody; None says nothing at all."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    done = threading.Event()

    def serve() -> None:
        kept = []
        while not done.is_set():
            with suppress(OSError):
                connection, _ = server.accept()
                kept.append(connection)
                if answer is not None:
                    threading.Thread(target=_reply, args=(connection, answer), daemon=True).start()
        for connection in kept:
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        done.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(path))
        thread.join()
        server.close()


@contextmanager
def forwarded(engine: Path) -> Iterator[int]:
    """A TCP port that leads to an engine's socket: an engine on another machine, as far as a client can tell."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    pairs: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve() -> None:
        while True:
            here, _ = server.accept()
            if done.is_set():
                here.close()
                return
            there = socket.socket(socket.AF_UNIX)
            there.connect(str(engine))
            pairs.extend((here, there))
            for one, other in ((here, there), (there, here)):
                threads.append(threading.Thread(target=_pour, args=(one, other)))
                threads[-1].start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        done.set()
        socket.create_connection(server.getsockname()).close()
        thread.join()
        for end in pairs:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for each in threads:
            each.join()
        for end in (*pairs, server):
            end.close()


def http(body: bytes, status: str = "200 OK") -> bytes:
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _reply(connection: socket.socket, answer: bytes) -> None:
    with suppress(OSError):
        connection.recv(65536)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)


def _pour(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while chunk := one.recv(65536):
            other.sendall(chunk)
        other.shutdown(socket.SHUT_WR)
