"""The defences of a box, each with how a test takes it away, so that an attack can be seen to work without it.

Nothing of this is within reach of the product: a test changes what it sends to the engine, and the source that the box
starts from. Memory, processes and processor time stay bounded in a weakened box too, unless they are what is removed,
and then they are only larger. What would put the host at risk has no entry here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandbox import DockerBackend, SandboxSettings
from sandbox.docker import box as boxes

_MiB = 1 << 20
_NEIGHBOUR = 4_242_424  # the one uid of all boxes whose own was taken away

# Of the rights that are given back, none reaches the host's files, memory, devices, clock or other processes.
_RIGHTS = ["CHOWN", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SYS_CHROOT", "SYSLOG"]


@dataclass(frozen=True, slots=True)
class Defence:
    """How one defence is removed.

    Attributes:
        what: it is, as the threat model's page says.
        container: changes the arguments that the engine gets.
        guest: source that is put at the end of modules of the guest.
        settings: of the guest that are replaced.
        limits: of the box that are raised.
        host: attributes of the host's own modules, by their full name, that are replaced.
    """

    what: str
    container: Callable[[dict[str, Any]], None] = lambda _: None
    guest: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)


def _host(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda create: create["host_config"].update(changes)


def _tmpfs(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def change(create: dict[str, Any]) -> None:
        options = create["host_config"]["Tmpfs"]["/tmp"]
        assert old in options
        create["host_config"]["Tmpfs"] = {"/tmp": options.replace(old, new)}

    return change


def _ulimit(name: str, most: int) -> Callable[[dict[str, Any]], None]:
    def change(create: dict[str, Any]) -> None:
        others = [each for each in create["host_config"]["Ulimits"] if each["Name"] != name]
        create["host_config"]["Ulimits"] = [*others, {"Name": name, "Soft": most, "Hard": most}]

    return change


def _user(number: int) -> Callable[[dict[str, Any]], None]:
    def change(create: dict[str, Any]) -> None:
        create["user"] = f"{number}:{number}"
        tmpfs = create["host_config"]["Tmpfs"]["/tmp"].split(",uid=")[0]
        create["host_config"]["Tmpfs"] = {"/tmp": f"{tmpfs},uid={number},gid={number}"}

    return change


def _network(create: dict[str, Any]) -> None:
    create["network_disabled"] = False
    create["host_config"]["NetworkMode"] = "host"
    create.pop("hostname")


def _unprivileged(create: dict[str, Any]) -> None:
    options = [each for each in create["host_config"]["SecurityOpt"] if not each.startswith("no-new-privileges")]
    create["host_config"]["SecurityOpt"] = options


_ANY_ORDER = """\
def _anything(self):
    octets = _read(self._channel.fileno())
    if octets == b"":
        return self._replace("ended")
    self._worker_frames.feed(octets or b"")
    while (received := self._worker_frames.next()) is not None:
        (self._pause if received[0] in (CALL, DONE) else self._send)(*received)
Supervisor._from_worker = _anything
"""
_NO_STOP = """\
_to_all = _signal_all
def _signal_all(number):
    if number != signal.SIGSTOP:
        _to_all(number)
"""
_ONE_WORKER = """\
def _give_up(self, reason):
    os._exit(1)
Supervisor._replace = _give_up
"""
_ANY_PROCESS = """\
def _serve(self):
    while True:
        _, step = self._channel.receive()
        self._channel.send(DONE, self._session.run(step))
Worker.serve = _serve
"""
_LATE_NAMES = """\
def _open_channel(self, descriptor):
    self._descriptor = descriptor
    self._read, self._write = lambda *given: os.read(*given), lambda *given: os.write(*given)
    self._loads, self._dumps = lambda text: json.loads(text), lambda value: json.dumps(value)
Channel.__init__ = _open_channel
"""
_WORN = """\
_made, _restored = Session.__init__, Session._restore
def _make(self, *given):
    _made(self, *given)
    self._builtins = {}
def _restore_once(self):
    _restored(self)
    Session._restore = lambda self: None
Session.__init__, Session._restore = _make, _restore_once
"""
_BELIEVING = """\
def packed(value, *given):
    if isinstance(value, dict):
        return {str(key): packed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [packed(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)
def shown(value, *given):
    return packed(value)
"""
_FOLLOWING = """\
import types
os = types.SimpleNamespace(**{**vars(os), "O_NOFOLLOW": 0})
_INTO = os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC
"""
_ANY_FILE = "import types\nstat = types.SimpleNamespace(S_ISREG=lambda mode: True, S_ISDIR=lambda mode: True)\n"
_KEPT_DESCRIPTORS = """\
class _Keeping:
    closerange = staticmethod(lambda first, last: None)
    def __getattr__(self, name, os=os):
        return getattr(os, name)
os = _Keeping()
"""


def _any_name(_tools: object, name: str, args: Any, kwargs: Any) -> Any:
    return eval(name)(*args, **kwargs)  # what a sandbox without a list of its tools would do


DEFENCES: Mapping[str, Defence] = {
    "the worker's filter": Defence(
        "a filter of system calls on the worker and all it starts", guest={"isolation": "def confine(**_): pass"}
    ),
    "the engine's filter": Defence(
        "the engine's own filter of system calls",
        lambda create: create["host_config"]["SecurityOpt"].append("seccomp=unconfined"),
    ),
    "hiding": Defence("process 1 can't be looked into", guest={"supervisor": "def hide(): pass"}),
    "a socket as the way": Defence(
        "process 1 speaks to the host by a socket, which can't be opened a second time", limits={"direct": False}
    ),
    "no new privileges": Defence("no program gives more rights than its caller had", _unprivileged),
    "a user without rights": Defence("the code's user is never root", _user(0)),
    "a user of its own": Defence("no two boxes have the same user", _user(_NEIGHBOUR)),
    "no capabilities": Defence("all capabilities are dropped", _host(CapDrop=["ALL"], CapAdd=_RIGHTS)),
    "the read-only root": Defence("the image's files can't be changed", _host(ReadonlyRootfs=False)),
    "the read-only kernel settings": Defence("/proc/sys and its like are read-only", _host(ReadonlyPaths=[])),
    "the masked paths": Defence("what /proc tells of the host is masked", _host(MaskedPaths=[])),
    "no execution of files": Defence("nothing that the code wrote can be executed", _tmpfs("noexec", "exec")),
    "no network": Defence("the box has only its own loopback", _network),
    "no shared memory": Defence("no IPC of the kernel, and no /dev/shm", _host(IpcMode="private", ShmSize=8 * _MiB)),
    "the limit of processes": Defence("processes and threads are counted", _host(PidsLimit=100)),
    "the limit of memory": Defence("memory is counted by the kernel", _host(Memory=256 * _MiB, MemorySwap=256 * _MiB)),
    "the limit of the heap": Defence("Python meets the limit of memory first", settings={"heap": 0}),
    "the limit of files": Defence("all files together are counted", _tmpfs(",size=", ",size=1")),
    "the limit of names": Defence("files are counted", _tmpfs("nr_inodes=4096", "nr_inodes=20000")),
    "the limit of one file": Defence("no file grows beyond its limit", _ulimit("fsize", 128 * _MiB)),
    "the limit of descriptors": Defence("open files are counted", _ulimit("nofile", 1024)),
    "the limit of queues": Defence("POSIX message queues have no room", _ulimit("msgqueue", 819_200)),
    "the limit of processor time": Defence("a share of the processors", _host(CpuPeriod=0, CpuQuota=0)),
    "the limit of time": Defence("a step's time", limits={"step_timeout": 20.0}),
    "the list of tools": Defence(
        "only tools that were sent can be called", host={"sandbox.host_tools.HostTools.call": _any_name}
    ),
    "the size of frames": Defence(
        "no frame is larger than its limit, on both sides of process 1",
        settings={"frame_limit": 1 << 33},
        host={"sandbox.docker.box.frame_limit": lambda _: 1 << 33},
    ),
    "the order of frames": Defence(
        "process 1 passes on calls and answers, and those only when it is the worker's turn",
        guest={"supervisor": _ANY_ORDER},
    ),
    "standing still": Defence("every process of a box is stopped while it waits", guest={"supervisor": _NO_STOP}),
    "a fresh worker": Defence("a worker that ended or misbehaved is replaced", guest={"supervisor": _ONE_WORKER}),
    "one worker": Defence("a fork of the worker never answers for it", guest={"worker": _ANY_PROCESS}),
    "closed descriptors": Defence(
        "the worker has none of process 1's descriptors", guest={"worker": _KEPT_DESCRIPTORS}
    ),
    "early names": Defence("the worker took hold of what it calls before the code ran", guest={"channel": _LATE_NAMES}),
    "fresh machinery": Defence("each step begins with Python as it was", guest={"evaluation": _WORN}),
    "packing by type": Defence(
        "values are packed by what they are and not by what they say", guest={"values": _BELIEVING}
    ),
    "no links": Defence("files are opened part by part, and never through a link", guest={"folder": _FOLLOWING}),
    "regular files": Defence("only regular files are read", guest={"folder": _ANY_FILE}),
    "the limit of output": Defence("printed output is cut", limits={"output_limit": 8_000_000}),
}


class WeakenedBackend(DockerBackend):
    """Opens boxes that lack some of the defences.

    Args:
        image: of the boxes.
        without: names of the defences.
        limits: of the boxes.
    """

    def __init__(self, image: str, without: Iterable[str], limits: Mapping[str, Any]) -> None:
        self._without = [DEFENCES[name] for name in without]
        # The host's own network in the hands of root could be changed, and not only looked at.
        assert not {"no network", "a user without rights"} <= set(without)
        raised = {name: value for defence in self._without for name, value in defence.limits.items()}
        super().__init__(SandboxSettings(image=image, **{"warm": 0, **limits, **raised}))

    @contextmanager
    def weak(self) -> Iterator[None]:
        """Within, the host's own defences are removed too."""
        with pytest.MonkeyPatch.context() as patch:
            for defence in self._without:
                for target, instead in defence.host.items():
                    patch.setattr(target, instead)
            yield

    def _make(self) -> boxes.Box:
        create, boot = self._api.create_container, boxes.boot
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._api, "create_container", lambda *image, **given: create(*image, **self._weaker(given)))
            patch.setattr(boxes, "boot", lambda *given, **named: self._weaker_boot(boot(*given, **named)))
            return super()._make()

    def _weaker(self, create: dict[str, Any]) -> dict[str, Any]:
        for defence in self._without:
            defence.container(create)
        return create

    def _weaker_boot(self, octets: bytes) -> bytes:
        """Put the source that removes defences behind the guest's own: a module's last word counts."""
        sent = json.loads(octets[4:])
        more = [(name, source) for defence in self._without for name, source in defence.guest.items()]
        assert {name for name, _ in more} <= {name for name, _ in sent["modules"]}
        for defence in self._without:
            sent["settings"].update(defence.settings)
        sent["modules"] = [
            (name, "\n".join([source, *(added for to, added in more if to == name)]))
            for name, source in sent["modules"]
        ]
        weaker = json.dumps(sent).encode()
        return len(weaker).to_bytes(4, "big") + weaker
