"""Values that JSON has no word for: arrays, tables, images, complex numbers; the same file on both sides of the wire.

Each kind has a tag, and a module with two functions that import nothing of ours and load their package only when such a
value occurs:

    pack(value, room) -> (tag, content)       content is of plain values and other kinds; without a tag it stands alone
    unpack(content, room) -> value            trusts nothing: sizes first, then types, then the package's own checks

A package that the other side hasn't is never used. Nothing is pickled, and no name from the wire is looked up anywhere.
"""

from __future__ import annotations

import sys

from sandbox.docker.guest.tags import Coded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_TEXT = 300  # characters of a package's own error that are passed on

# Tag, package that has the types, names in it of the types or of one value of theirs, module of ours, what to build.
KINDS: tuple[tuple[str, str, tuple[str, ...], str, str], ...] = (
    ("array", "numpy", ("ndarray", "generic"), "arrays", "numpy"),
    ("table", "pandas", ("DataFrame", "Series", "Timestamp", "Timedelta", "NaT", "NA"), "tables", "pandas"),
    ("image", "PIL.Image", ("Image",), "images", "pillow"),
)
MODULES = tuple(kind[3] for kind in KINDS)


class CodecError(ValueError):
    """A value of one of these kinds can't cross; the text says why and what to do."""


class Room:
    """Bytes that the values of one message may still take, once they are unpacked."""

    def __init__(self, size: int) -> None:
        self._left = self._size = size

    def take(self, size: int) -> None:
        """Set bytes aside.

        Raises:
            ValueError: there are not so many left.
        """
        self._left -= size
        if self._left < 0:
            raise ValueError(f"it would take more than {self._size:,} bytes")


class Codecs:
    """What one side can send and take.

    Args:
        packages: roots of the packages that both sides may have; others are refused.
        load: gives the module of ours with this name.
        side: what the other side is called in messages.
    """

    def __init__(self, packages: Iterable[str], load: Callable[[str], Any], side: str) -> None:
        self._packages, self._load, self._side = frozenset(packages), load, side
        self._kinds = {kind[0]: kind for kind in KINDS if kind[1].partition(".")[0] in self._packages}

    def reduce(self, value: Any, room: int) -> Coded | None:
        """The value as a tag and content that is nearer to plain, or None when it is of no such kind.

        Args:
            value: anything; asked for its type only, since it may fight back.
            room: bytes that may still be sent.

        Raises:
            CodecError: it is of such a kind, but can't cross.
        """
        kind = type(value)
        if issubclass(kind, complex):
            return Coded("complex", [float(value.real), float(value.imag)])
        for _, package, names, module, _ in KINDS:
            loaded = sys.modules.get(package)
            if loaded is not None and any(issubclass(kind, _named(loaded, name)) for name in names):
                if package.partition(".")[0] not in self._packages:
                    return None
                return Coded(*_guarded(kind.__name__, lambda: self._load(module).pack(value, room)))  # noqa: B023
        return None

    def makers(self, size: int) -> Callable[[str], Callable[[Any], Any] | None]:
        """What makes a value of untrusted content, for a tag: the `more` of `untagged`, for one message.

        Args:
            size: bytes that all values of the message may take together, once they are unpacked.
        """
        room = Room(size)
        return lambda tag: _complex if tag == "complex" else self._maker(tag, room)

    def _maker(self, tag: str, room: Room) -> Callable[[Any], Any] | None:
        if tag not in self._kinds:
            return None
        _, package, _, module, build = self._kinds[tag]

        def make(content: Any) -> Any:
            try:
                __import__(package)
            except ImportError:
                raise CodecError(
                    f"an {tag} can't cross, {self._side} has no {package.partition('.')[0]}: send plain values, or use "
                    f"an image that has it (dionysus sandbox build --with {build})"
                ) from None
            return _guarded(tag, lambda: self._load(module).unpack(content, room))

        return make


def _named(loaded: Any, name: str) -> type:
    found = getattr(loaded, name, None)
    return found if isinstance(found, type) else type(found) if found is not None else _Nothing


class _Nothing:
    """No value is of this type: stands for one that a half-imported package has not got yet."""


def _complex(content: Any) -> complex:
    if type(content) is not list or [type(part) for part in content] != [float, float]:
        raise CodecError("a complex number that is none")
    return complex(*content)


def _guarded(kind: str, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - hostile values reach deep into packages; none of it may go further
        raise CodecError(f"a value of type {kind} can't cross: {_text(error)}"[:_TEXT]) from None


def _text(error: Exception) -> str:
    try:
        return str(error) if type(error) in (TypeError, ValueError) else f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error whose own text fails
        return type(error).__name__
