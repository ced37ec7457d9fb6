"""The head of a request to the proxy, read strictly: what two readers could read in two ways is refused.

Whatever is forwarded is written anew from what was read here, so that no server sees another request than was checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sandbox.network.rules import canonical_name

LONGEST_HEAD: Final = 32 * 1024  # bytes
_MOST_FIELDS: Final = 100
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_ONCE: Final = (b"host", b"content-length", b"transfer-encoding")
_HOP: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"te", b"upgrade", b"proxy-authorization", b"host"}
)
_MOST_DIGITS: Final = 15
_HTTP_PORT: Final = 80
_PORT_DIGITS: Final = 5


class BadRequestError(Exception):
    """The head can't be read, or could be read in two ways."""


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody wants of the proxy.

    Attributes:
        name: canonical name or address that it wants to reach.
        port: of that.
        head: what to send there before the body; empty for a tunnel.
        length: bytes of the body.
        chunked: the body says itself where it ends.
    """

    name: str
    port: int
    head: bytes = b""
    length: int = 0
    chunked: bool = False

    @property
    def is_tunnel(self) -> bool:
        """Whether bytes are passed on as they come, in both directions."""
        return not self.head


def read_head(head: bytes) -> Request:
    """Read a head, from its first byte to the empty line.

    Raises:
        BadRequestError: it is none; the text says why.
    """
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        raise BadRequestError("a line that ends in another way than lines end")
    words = lines[0].split(b" ")
    if len(words) != 3 or words[2] not in _VERSIONS or not _TOKEN.fullmatch(words[0]):
        raise BadRequestError("no request line of HTTP/1.1")
    if not _TARGET.fullmatch(words[1]):
        raise BadRequestError("a target that is no address")
    fields = _fields(lines[1:])
    if words[0] == b"CONNECT":
        return Request(*_authority(words[1].decode(), None))
    return _plain(words[0], words[1].decode(), fields)


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    if len(lines) > _MOST_FIELDS:
        raise BadRequestError(f"more than {_MOST_FIELDS} fields")
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadRequestError("a field that is none")
        found.append((name, value.strip(b" \t")))
    names = [name.lower() for name, _ in found]
    for name in _ONCE:
        if names.count(name) > 1:
            raise BadRequestError(f"the field {name.decode()} twice")
    return found


def _plain(method: bytes, target: str, fields: list[tuple[bytes, bytes]]) -> Request:
    """A request to be forwarded: its absolute address is what counts, and what the server is told."""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise BadRequestError("a target that is no address") from None
    if parts.scheme.lower() != "http" or not parts.netloc:
        raise BadRequestError("the target must begin with http:// here; https goes through CONNECT")
    name, port = _authority(parts.netloc, _HTTP_PORT)
    given = {field.lower(): value for field, value in fields}
    if b"host" in given and _authority(given[b"host"].decode("latin-1"), _HTTP_PORT) != (name, port):
        raise BadRequestError("the field host names another server than the target")
    length, chunked = _body(given)
    path = target.partition("//")[2].partition("#")[0][len(parts.netloc) :]
    origin = path if path.startswith("/") else f"/{path}"
    host = f"[{name}]" if ":" in name else name
    lines = [
        b"%s %s HTTP/1.1" % (method, origin.encode()),
        b"Host: %s" % (host if port == _HTTP_PORT else f"{host}:{port}").encode(),
        b"Connection: close",
        *(b"%s: %s" % field for field in fields if field[0].lower() not in _dropped(given)),
    ]
    return Request(name, port, b"\r\n".join(lines) + b"\r\n\r\n", length, chunked)


def _dropped(given: dict[bytes, bytes]) -> frozenset[bytes]:
    """Fields that end here, but never those that say how long the body is."""
    named = {token.strip().lower() for token in given.get(b"connection", b"").split(b",")}
    return (_HOP | named) - {b"content-length", b"transfer-encoding"}


def _body(given: dict[bytes, bytes]) -> tuple[int, bool]:
    length, coding = given.get(b"content-length"), given.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            raise BadRequestError("a body whose length is said in two ways, or in none that is known")
        return 0, True
    if length is None:
        return 0, False
    if not length.isdigit() or len(length) > _MOST_DIGITS:
        raise BadRequestError("a length that is no number")
    return int(length), False


def _authority(text: str, port: int | None) -> tuple[str, int]:
    """Read `name:port`, where the port may be left out if there is a usual one."""
    name, colon, digits = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        name, digits = text, "" if port is None else str(port)
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _PORT_DIGITS else 0
    if "@" in name or not 0 < number < 65536:
        raise BadRequestError("a target without a name and a port")
    try:
        return canonical_name(name), number
    except ValueError as error:
        raise BadRequestError(str(error)) from None
