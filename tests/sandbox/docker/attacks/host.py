"""What an attack may meet on the host: listeners that say "reached", and what this machine's kernel has."""

from __future__ import annotations

import os
import platform
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from sandbox import CodeError, DockerSandbox, FileRefused, LimitExceeded, Sandbox, SessionLost
from sandbox.docker.guest.wire import EXECUTE, KILL, frame
from tests.sandbox.docker.attacks.attack import Attack
from tests.sandbox.docker.attacks.prelude import PRELUDE
from tests.sandbox.docker.patience import patient

LASTING = {"SECONDS": "1.8", "LONGER": "5"}
"""What stands for the seconds of code that nothing ends: LONGER outlasts also a kill."""
BRIEF = {"SECONDS": "0.6", "LONGER": "0.6"}
"""The same where the limit of time was taken away: more than that limit is enough to see that it is gone."""
_REACHED = b"reached"
_ROBBED = 5.0  # seconds that a step gets which may never hear what it is to do
_TIDY = """\
import os
os.system('cd /tmp/work && rm -rf -- * .[!.]*; cd .. && for each in *; do [ "$each" = work ] || rm -rf "$each"; done')
"""


class Listeners:
    """Servers on the host's own loopback, and what they have seen.

    Attributes:
        places: what stands for each of them in an attack's code.
        met: how often any was reached.
    """

    def __init__(self) -> None:
        name = f"dionysus-{secrets.token_hex(8)}"
        self._sockets = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
        self._sockets[1].bind(f"\0{name}")
        self._sockets[1].listen()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", 0))
        self.places = {
            "ABSTRACT": name,
            "DATAGRAMS": str(self._datagrams.getsockname()[1]),
            "PORT": str(self._sockets[0].getsockname()[1]),
        }
        if has("ipv6"):
            self._sockets.append(socket.create_server(("::1", 0), family=socket.AF_INET6))
            self.places = {"PORT6": str(self._sockets[2].getsockname()[1])} | self.places
        self.met = 0
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in self._sockets]
        self._threads.append(threading.Thread(target=self._answer))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Wake and end every server."""
        for each in (*self._sockets, self._datagrams):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._datagrams_out()
        for thread in self._threads:
            thread.join()
        for each in (*self._sockets, self._datagrams):
            each.close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.met += 1
            with connection, suppress(OSError):
                connection.settimeout(2)
                connection.sendall(_REACHED)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(999):  # to the end, or what was said might be taken back
                    pass

    def _answer(self) -> None:
        while True:
            said, sender = self._datagrams.recvfrom(999)
            if not said:
                return
            self.met += 1
            self._datagrams.sendto(_REACHED, sender)

    def _datagrams_out(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._datagrams.getsockname())


def outcome(box: DockerSandbox, attack: Attack, each_step: tuple[str, ...], places: Mapping[str, str]) -> str:
    """Run the steps: what the last one shows, prints or raises, or the first word of a state that is lost."""
    places = {**LASTING, **places}
    said = ""
    for number, step in enumerate(each_step, 1):
        code = step
        for place, value in places.items():
            code = code.replace(place, value)
        try:
            with nullcontext() if number == len(each_step) else patient(box):
                shown = box(code)
        except CodeError as error:
            said = str(error).splitlines()[-1]
            if "gone" in said:
                return said
        else:
            said = shown.logs[-100:] if shown.output is None else str(shown.output)
    return said if attack.then is None else _after(box, attack.then)


def assert_held(box: DockerSandbox, attack: Attack, said: str) -> None:
    """See that an attack ended as it should, that lost state was told, and that the next step works."""
    assert re.search(attack.held, said), said
    assert not re.search(attack.works, said), said
    lost = "gone" in said
    assert attack.lost in (lost, None), said
    with patient(box):
        if attack.lost is not None:
            assert box("globals().get('kept')").output == (None if lost else "kept")
            assert box("1 + 1").output == 2
    if attack.lost is None:
        assert_recovers(box)


def assert_recovers(box: DockerSandbox) -> None:
    """See that steps work again, though what an attack left running may still cost one.

    Which one is not said: a thread that waits to read what is meant for the worker competes with it for every frame, and
    the kernel gives each to either. The step that it robs ends by its time, and takes the worker and its threads along.
    """
    for _ in range(2):
        try:
            with patient(box, _ROBBED):
                assert box("1 + 1").output == 2
        except (SessionLost, LimitExceeded):
            break
    else:
        return
    with patient(box):
        assert box("1 + 1").output == 2


def with_tools(box: DockerSandbox) -> DockerSandbox:
    """Give a box the tools that attacks call."""
    box.send_tools({"echo": lambda value: value, "wait": lambda: time.sleep(1.5)})
    return box


def steps(code: str | tuple[str, ...]) -> tuple[str, ...]:
    """One step or several as several."""
    return (code,) if isinstance(code, str) else code


def prepared(box: DockerSandbox) -> DockerSandbox:
    """Give a box what attacks share, also after it lost its worker, and a variable to remember."""
    for _ in range(3):
        try:
            with patient(box):
                box(PRELUDE + "\nkept = 'kept'")
        except SessionLost:  # in a weakened box the attack before may have spoiled it
            continue
        break
    return box


def tidied(box: DockerSandbox, litter: str) -> None:
    """Take away what an attack left: with the whole box, or its worker and its files."""
    if litter == "box":
        box._drop_box()
    if litter == "worker":
        with suppress(ConnectionError, AttributeError):  # the attack may have ended it all
            box._box.channel.send_raw(frame(EXECUTE, b'{"id": "last", "code": "while True: pass"}') + frame(KILL, b""))
        with suppress(CodeError), patient(box):
            box("1")
        with suppress(CodeError), patient(box):
            box(_TIDY)


@contextmanager
def fresh_after_failure(box: DockerSandbox) -> Iterator[None]:
    """Let no attack that ended otherwise than it should disturb the next one: its box goes with it."""
    try:
        yield
    except BaseException:
        box._drop_box()
        raise


def has(what: str | None) -> bool:
    """Whether this machine's kernel has what an attack needs; nothing is asked of the sandbox."""
    return what is None or _MACHINE[what]()


def _after(box: Sandbox, then: Callable[[Sandbox], object]) -> str:
    try:
        return str(then(box))
    except FileRefused as refused:
        return str(refused)


def _setting(path: str, *allowed: str) -> Callable[[], bool]:
    """A setting of the kernel that has one of these values, or isn't there."""
    file = Path("/proc/sys", path)
    return lambda: not file.exists() or file.read_text().strip() in allowed


def _family(number: int, kind: int, protocol: int) -> Callable[[], bool]:
    def there() -> bool:
        try:
            socket.socket(number, kind, protocol).close()
        except OSError as error:
            return isinstance(error, PermissionError)
        return True

    return there


def _ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def _newer(*least: int) -> bool:
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) >= least


def _readable(path: str) -> Callable[[], bool]:
    return lambda: Path(path).exists()


def _routed() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 80))
        except OSError:
            return False
    return True


_MACHINE: Mapping[str, Callable[[], bool]] = {
    "alg": _family(38, 5, 0),
    "bpf": lambda: _setting("kernel/unprivileged_bpf_disabled", "0")(),
    "can": _family(29, 3, 1),
    "fchmodat2": lambda: _newer(6, 6),
    "firmware": _readable("/sys/firmware/acpi"),
    "i386": lambda: platform.machine() == "x86_64" and _emulates_i386(),
    "io_uring": _setting("kernel/io_uring_disabled", "0"),
    "ipv6": _ipv6,
    "keys": _readable("/proc/keys"),
    "perf": _setting("kernel/perf_event_paranoid", "-1", "0", "1", "2"),
    "ptrace": _setting("kernel/yama/ptrace_scope", "0"),
    "qipcrtr": _family(42, 2, 0),
    "rds": _family(21, 5, 0),
    "route": _routed,
    "smc": _family(43, 1, 0),
    "terminal": _setting("dev/tty/legacy_tiocsti", "1"),
    "tipc": _family(30, 1, 0),
    "userfaultfd": lambda: Path("/proc/sys/vm/unprivileged_userfaultfd").exists(),
    "vsock": _family(40, 1, 0),
    "x32": lambda: False,  # no distribution's kernel has had it for years
    "x86": lambda: platform.machine() == "x86_64",
    "xdp": _family(44, 3, 0),
}


def _emulates_i386() -> bool:
    return Path("/proc/sys/abi/ldt16").exists() or Path("/proc/sys/abi/vsyscall32").exists()
