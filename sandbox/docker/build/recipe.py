"""What an image shall hold, checked: these words end up in a shell's and in pip's hands."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Source = Literal["auto", "dockerfile", "debootstrap"]

# A name as PEP 508 has it, and one exact version. No path, URL, option, range or marker fits.
_PACKAGE = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)(?:==([0-9][A-Za-z0-9.!+_-]{0,63}))?")
_TAG = re.compile(r"[a-z0-9]+(?:[._/:-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")
_FORMAT = 2  # of what our builds make of the same recipe; a new one makes caches forget the old


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image shall hold beside Python. Make it with `of`, which checks it.

    Attributes:
        packages: names on PyPI, some with `==version`; normalised, in alphabetical order.
        node: with Node, for JavaScript.
    """

    packages: tuple[str, ...] = ()
    node: bool = True

    @classmethod
    def of(cls, packages: Iterable[str] = (), *, node: bool = True) -> Recipe:
        """Check and sort what is asked for.

        Raises:
            ValueError: something isn't the name of a package, or is asked for in two versions.
        """
        wanted: dict[str, str] = {}
        for package in packages:
            name, version = _parsed(package)
            if wanted.setdefault(name, version) != version:
                raise ValueError(f"{name} is asked for twice, as {wanted[name] or 'any'} and as {version or 'any'}")
        return cls(tuple(name + version for name, version in sorted(wanted.items())), node)

    @property
    def names(self) -> tuple[str, ...]:
        """The packages without their versions."""
        return tuple(package.partition("==")[0] for package in self.packages)

    def fingerprint(self) -> str:
        """Return what tells this recipe from others, in twelve hexadecimal digits."""
        said = json.dumps([_FORMAT, self.packages, self.node])
        return hashlib.sha256(said.encode()).hexdigest()[:12]


def checked_tag(name: str) -> str:
    """Return a name that an image can be given.

    Raises:
        ValueError: it is none; one with a digest isn't either, for the content alone decides about that.
    """
    if len(name) <= 255 and _TAG.fullmatch(name):
        return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    raise ValueError(
        f"{name!r} can't be the name of an image that is built here: it is not like NAME:TAG, in lowercase"
    )


def _parsed(package: str) -> tuple[str, str]:
    found = _PACKAGE.fullmatch(package)
    if found is None:
        raise ValueError(
            f"{package!r} is not the name of a package: give names on PyPI, such as numpy, or with one exact version,"
            " such as numpy==2.3.1"
        )
    name, version = found.groups()
    return re.sub(r"[-_.]+", "-", name).lower(), f"=={version}" if version else ""
