"""Attacks by the network. The host listens on its own loopback for those whose box was given the host's network.

`PORT`, `PORT6`, `DATAGRAMS` and `ABSTRACT` stand for where it listens; whoever gets through is told "reached".
"""

from tests.sandbox.docker.attacks.attack import Attack

_FILTER, _NETWORK = "the worker's filter", "no network"
_OUT = (_FILTER, _NETWORK)
_ROOT = (_FILTER, "a user without rights", "no capabilities")
_REFUSED = "Address family not supported|EAFNOSUPPORT"

_STREAM = "with socket.create_connection(('127.0.0.1', PORT), 5) as s: said = s.recv(99).decode()\nsaid"
_STREAM6 = "with socket.create_connection(('::1', PORT6), 5) as s: said = s.recv(99).decode()\nsaid"
_DATAGRAM = (
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n    s.settimeout(5)\n"
    "    s.sendto(b'x', ('127.0.0.1', DATAGRAMS))\n    said = s.recv(99).decode()\nsaid"
)
_NAME = (
    "asked_for = b'\\x12\\x34\\1\\0\\0\\1' + bytes(6) + b'\\6secret\\7example\\0\\0\\1\\0\\1'\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n    s.settimeout(5)\n"
    "    s.sendto(asked_for, ('127.0.0.1', DATAGRAMS))\n    said = s.recv(99).decode()\nsaid"
)
_ROUTE = (
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
    "    s.connect(('{}', 80))\n    said = 'reached' * (s.getsockname()[0] != '0.0.0.0')\nsaid"
)
_GATEWAY = (
    "import ipaddress\nroutes = [line.split() for line in open('/proc/net/route').readlines()[1:]]\n"
    "gateways = [int(line[2], 16) for line in routes if line[1] == '00000000']\n"
    "gateway = socket.inet_ntoa(struct.pack('<I', gateways[0] if gateways else 0x0100007f))\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: s.connect((gateway, 1))\n'reached'"
)
_FETCH = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT', timeout=5)"
_ABSTRACT = (
    "with socket.socket(socket.AF_UNIX) as s:\n    s.connect('\\0ABSTRACT')\n    said = s.recv(99).decode()\nsaid"
)
_SERVE = "with socket.socket() as s:\n    s.bind(('', 0))\n    s.listen()\n'reached'"
_PASSED = "call(53, 199, {}, 1, 0, ctypes.byref((ctypes.c_int * 2)()))"


def _socket(name: str, numbers: str, without: tuple[str, ...] = (_FILTER,), where: str | None = None) -> Attack:
    return Attack(
        f"a socket of family {name}",
        f"socket.socket({numbers}).close()\n'reached'",
        without,
        held=_REFUSED,
        where=where,
    )


ATTACKS = [
    Attack("connect to a port of the host", _STREAM, _OUT, held=_REFUSED),
    Attack("connect by IPv6", _STREAM6, _OUT, held=_REFUSED, where="ipv6"),
    Attack("send a datagram to the host", _DATAGRAM, _OUT, held=_REFUSED),
    Attack("ask for a name, with a secret in it", _NAME, _OUT, held=_REFUSED),
    Attack("find a way to the metadata address", _ROUTE.format("169.254.169.254"), _OUT, held=_REFUSED, where="route"),
    Attack("find a way to a public address", _ROUTE.format("198.51.100.1"), _OUT, held=_REFUSED, where="route"),
    Attack("find a way to the gateway", _GATEWAY, _OUT, held=_REFUSED),
    Attack("fetch a page", _FETCH, _OUT, works="reached|BadStatusLine", held=_REFUSED),
    Attack("connect to an abstract socket of the host", _ABSTRACT, (_NETWORK,), held="ConnectionRefusedError"),
    Attack("listen to whoever comes", _SERVE, (_FILTER,), held=_REFUSED),
    Attack("send raw packets", "socket.socket(2, 3, 1).close()\n'reached'", _ROOT, held=_REFUSED),
    Attack(
        "send raw packets by IPv6", "socket.socket(10, 3, 58).close()\n'reached'", _ROOT, held=_REFUSED, where="ipv6"
    ),
    Attack("listen to all packets", "socket.socket(17, 3, 0x300).close()\n'reached'", _ROOT, held=_REFUSED),
    _socket("netlink: routes", "16, 3, 0"),
    _socket("netlink: sockets", "16, 3, 4"),
    _socket("netlink: events of devices", "16, 3, 15"),
    _socket("vsock", "40, 1, 0", (_FILTER, "the engine's filter"), "vsock"),
    _socket("alg", "38, 5, 0", where="alg"),
    _socket("xdp", "44, 3, 0", _ROOT, "xdp"),
    _socket("tipc", "30, 1, 0", where="tipc"),
    _socket("can", "29, 3, 1", _ROOT, "can"),
    _socket("smc", "43, 1, 0", where="smc"),
    _socket("rds", "21, 5, 0", where="rds"),
    _socket("qipcrtr", "42, 2, 0", where="qipcrtr"),
    Attack(
        "a pair of sockets of a family that is refused", _PASSED.format(30), (_FILTER,), held=_REFUSED, where="tipc"
    ),
]
