"""Stands for a server's process: hands over its streams, lives as long as the server does, and ends as it does.

Imports next to nothing: it has to be there at once.
"""

import os
import signal
import socket
import sys

ADDRESS, ARGUMENTS = sys.argv[1], sys.argv[2:]


def main() -> None:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(ADDRESS)
        environment = [name + b"=" + value for name, value in os.environb.items()]
        told = b"\0".join([os.fsencode(os.getcwd()), *environment])
        socket.send_fds(asked, [len(told).to_bytes(8, "big")], [0, 1, 2])
        asked.sendall(told)
        pid = int.from_bytes(asked.recv(8), "big")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda got, _: os.kill(pid, got))
        ended = asked.recv(8)
    code = int.from_bytes(ended, "big", signed=True) if ended else 1
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
