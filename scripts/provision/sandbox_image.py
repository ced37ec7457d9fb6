"""The image that all tests of containers share, built by Dionysus' own code and kept as an archive in the cache.

Python, Node, numpy, pandas and pillow: once a machine it is built (two minutes), afterwards it is loaded (seconds).
"""

import platform
import shutil
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from provision.host import PartUnavailableError, apt_install, cache, can_use_apt

if TYPE_CHECKING:
    import docker

    from sandbox.docker.build import Recipe

LATEST = "dionysus-sandbox:latest"
BESIDE = "dionysus-sandbox:tests"  # where the first name belongs to an image of the user's
PACKAGES = ("numpy", "pandas", "pillow")
_ONE = threading.Lock()  # two parts need the image, are provided side by side, and share what is made for it


def provide() -> None:
    """Make what an engine needs later and what needs no engine: the base of Debian, where this machine can."""
    with _ONE:
        if not _archive().exists() and can_use_apt():
            _make_base()


def _make_base() -> None:
    if shutil.which("debootstrap") is None:
        apt_install("debootstrap", "debian-archive-keyring", otherwise="debootstrap is not installed")
    from sandbox import ImageNotBuilt
    from sandbox.docker.build import debootstrap

    try:
        debootstrap.base(node=True, cache=cache(), progress=lambda line: None)
    except ImageNotBuilt as error:
        raise PartUnavailableError(str(error)) from error


def load(address: str, *, ours: bool = False) -> str:
    """See to it that the engine at `address` has the image; return its name there.

    Args:
        address: where the engine listens.
        ours: nobody else uses this engine, so the plain name may be taken from another image.
    """
    import docker
    from docker.errors import DockerException

    from sandbox import SandboxError

    try:
        with _ONE, closing(docker.APIClient(base_url=address, version="auto", timeout=600)) as api:
            return _loaded(api, ours=ours)
    except (DockerException, SandboxError, OSError) as error:
        raise PartUnavailableError(f"the Docker engine at {address} did not get our image: {error}") from error


def _loaded(api: "docker.APIClient", *, ours: bool) -> str:
    wanted = _recipe().fingerprint()
    there = {name: _recipe_at(api, name) for name in (LATEST, BESIDE)}
    for name, recipe in there.items():
        if recipe == wanted:
            return name
    name = LATEST if ours or there[LATEST] is None else BESIDE
    if _archive().exists():
        _from_archive(api, name)
    else:
        _build(api, name)
    return name


def _build(api: "docker.APIClient", name: str) -> None:
    from sandbox.docker.build import build

    source = "debootstrap" if can_use_apt() else "auto"
    image = build(api, _recipe(), name, cache=cache(), source=source)
    part = _archive().with_suffix(".part")
    try:
        with part.open("wb") as file:  # by its id: with a name in it, loading would take that name from another image
            file.writelines(api.get_image(image.id))
        part.rename(_archive())  # whole or not at all
    finally:
        part.unlink(missing_ok=True)


def _from_archive(api: "docker.APIClient", name: str) -> None:
    with _archive().open("rb") as file:
        image = _id_of(api.load_image(file))
    repository, tag = name.split(":")
    api.tag(image, repository, tag, force=True)


def _id_of(said: Iterable[dict[str, str]]) -> str:
    lines = [line for line in said if line]
    for line in lines:
        before, found, image = line.get("stream", "").strip().partition("sha256:")
        if found and before.startswith("Loaded image"):
            return f"sha256:{image}"
    raise PartUnavailableError(f"the Docker engine did not take our image: {lines[-1:]}")


def _recipe_at(api: "docker.APIClient", name: str) -> str | None:
    """The recipe of an image; empty if it isn't ours, None if it isn't there."""
    from sandbox import SandboxUnavailable
    from sandbox.docker.image import find

    try:
        return find(api, name).recipe or ""
    except SandboxUnavailable:
        return None


def _recipe() -> "Recipe":
    from sandbox.docker.build import Recipe

    return Recipe.of(PACKAGES)


def _archive() -> Path:
    return cache() / f"sandbox-image-{_recipe().fingerprint()}-{platform.machine()}.tar"
