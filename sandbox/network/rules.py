"""Which names and ports code may reach, and which addresses a name may stand for.

A name that is allowed doesn't make an address allowed: who answers for the name could point it at this machine or at
its neighbours. Those are reached only by a rule that names the address itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_NAME: Final = 253
_PORTS: Final = range(1, 65536)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNICAST: Final = IPv6Network("2000::/3")  # all that the internet has given out so far
# Special although `ipaddress` doesn't always say so: protocol assignments (a cloud's metadata among them), relays of
# 6to4, and another cloud's service for the machines in it.
_SPECIAL: Final = tuple(IPv4Network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the list.

    Attributes:
        name: in its canonical form, or an address; `below` it where `wildcard` is set.
        port: the only one.
        wildcard: every name below, of any depth, and not the name itself.
    """

    name: str
    port: int
    wildcard: bool = False

    def allows(self, name: str, port: int) -> bool:
        """Whether this is about such a canonical name and port."""
        if port != self.port:
            return False
        return name.endswith(f".{self.name}") if self.wildcard else name == self.name


class AllowList:
    """All rules of one sandbox.

    Args:
        rules: such as `example.org:443`, `*.example.com:80`, `10.0.0.7:8080`, `[::1]:8080`.

    Raises:
        ValueError: one of them is none; the text says why.
    """

    def __init__(self, rules: Iterable[str]) -> None:
        self.rules = tuple(parse_rule(rule) for rule in rules)

    def allows(self, name: str, port: int) -> bool:
        """Whether a canonical name or address may be asked for at this port."""
        return any(rule.allows(name, port) for rule in self.rules)

    def may_connect(self, address: Address, port: int) -> bool:
        """Whether this address may be connected to, for whichever name."""
        return is_public(address) or self.allows(str(unwrapped(address)), port)


def parse_rule(rule: str) -> Rule:
    """Read one rule.

    Raises:
        ValueError: it is none; the text says why.
    """
    name, colon, port = rule.strip().rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        raise ValueError(f"{rule!r} names no port; write NAME:PORT, such as {name or port or 'example.org'}:443")
    wildcard = name.startswith("*.")
    try:
        canonical = canonical_name(name[2:] if wildcard else name)
    except ValueError as error:
        raise ValueError(f"{rule!r} can't be allowed: {error}") from None
    if wildcard and ("." not in canonical or _as_address(canonical) is not None):
        raise ValueError(f"{rule!r} would allow too much; name a domain of two labels at least, such as *.example.com")
    return Rule(canonical, int(port), wildcard)


def canonical_name(name: str) -> str:
    """One form for all ways to write a name: lower case, ASCII (IDNA), no dot at the end; an address in its short form.

    Raises:
        ValueError: it is no name that a host can have.
    """
    address = _as_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    if address is not None:
        return str(unwrapped(address))
    try:
        ascii_name = name.removesuffix(".").lower().encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{name[:100]!r} is no host's name") from None
    labels = ascii_name.split(".")
    if len(ascii_name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{name[:100]!r} is no host's name")
    return ascii_name


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet: not of this machine, its network, its cloud, or a group."""
    bare = unwrapped(address)
    if isinstance(bare, IPv6Address):
        ordinary = bare in _UNICAST and not bare.sixtofour and not bare.teredo
    else:
        ordinary = not any(bare in special for special in _SPECIAL)
    return ordinary and bare.is_global and not bare.is_multicast and not bare.is_reserved


def unwrapped(address: Address) -> Address:
    """An IPv4 address that hides in an IPv6 one, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address


def _as_address(text: str) -> Address | None:
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
