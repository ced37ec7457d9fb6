"""An engine that is reached by ssh: a real server of that protocol, which leads each session to the engine's socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko

USER = "somebody"


@contextmanager
def over_ssh(engine: Path, home: Path) -> Iterator[str]:
    """Serve an engine by ssh; a client with that home has the key, and knows the server's.

    Yields:
        The engine's address, for DOCKER_HOST.
    """
    (home / ".ssh").mkdir(parents=True)
    theirs, ours = (paramiko.ECDSAKey.generate() for _ in range(2))
    theirs.write_private_key_file(str(home / ".ssh/id_ecdsa"))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {ours.get_name()} {ours.get_base64()}\n")
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transports.append(paramiko.Transport(connection))
            transports[-1].add_server_key(ours)
            with suppress(paramiko.SSHException, EOFError):
                transports[-1].start_server(server=_Login(theirs, engine))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"ssh://{USER}@127.0.0.1:{port}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
            transport.join(30)


class _Login(paramiko.ServerInterface):
    """Lets one key in, for one command."""

    def __init__(self, key: paramiko.PKey, engine: Path) -> None:
        self._key, self._engine = key, engine

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if (username, key) == (USER, self._key) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if command != b"docker system dial-stdio":
            return False
        there = socket.socket(socket.AF_UNIX)
        there.connect(str(self._engine))
        ways = [
            threading.Thread(target=_pour, args=(channel.recv, there.sendall, lambda: there.shutdown(socket.SHUT_WR))),
            threading.Thread(target=_pour, args=(there.recv, channel.sendall, channel.close)),
        ]
        for way in ways:
            way.start()
        threading.Thread(target=lambda: ([way.join() for way in ways], there.close())).start()
        return True


def _pour(take, give, end) -> None:
    with suppress(OSError, EOFError):
        while octets := take(65536):
            give(octets)
    with suppress(OSError, EOFError):
        end()
