"""Node and the official TypeScript client of MCP, at the versions and digests of a lock file that names no registry."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from provision.host import PartUnavailableError, apt_install, cache, run

_LOCKED = Path(__file__).with_name("typescript")
_FILES = ("package.json", "package-lock.json")
_NODE = 18
_BY_HAND = (
    f"The TypeScript client needs Node {_NODE} or newer with npm: on macOS `brew install node`,"
    " elsewhere your package manager"
)


def provide() -> None:
    """Node, and the packages in the cache; npm checks each against its digest."""
    if _node_version() < _NODE or shutil.which("npm") is None:
        apt_install("nodejs", "npm", otherwise=_BY_HAND)
    if _node_version() < _NODE:
        raise PartUnavailableError(f"{_BY_HAND}; `node` here is version {_node_version()}")
    if _folder().exists():
        return
    part = _folder().with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in _FILES:
        shutil.copy(_LOCKED / name, part / name)
    # No script of a package is run: none of them needs one.
    run("npm", "ci", "--prefix", part, "--ignore-scripts", "--no-audit", "--no-fund")
    part.rename(_folder())  # whole or not at all


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield the folder that has the `node_modules`; tests start their own clients, so there's nothing to run here."""
    yield {"TEST_TYPESCRIPT": str(_folder())}


def _folder() -> Path:
    digest = hashlib.sha256(b"".join((_LOCKED / name).read_bytes() for name in _FILES)).hexdigest()
    return cache() / f"typescript-{digest[:12]}"


def _node_version() -> int:
    try:
        found = re.match(r"v(\d+)\.", run("node", "--version", timeout=60))
    except PartUnavailableError:
        return 0
    return int(found.group(1)) if found else 0
