"""The image `dionysus-sandbox`, made without any image registry: Debian's packages, unpacked and imported."""

import hashlib
import json
import platform
import shutil
import tarfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from provision.host import PartUnavailableError, apt_install, cache, can_use_apt, run

if TYPE_CHECKING:
    from docker import DockerClient

NAME = "dionysus-sandbox:latest"
_LABEL = "dionysus.recipe"
_RECIPE = {
    "suite": "bookworm",
    "variant": "minbase",
    "include": ["python3"],
    # Package lists, archives and manuals serve nobody in a box without network.
    "leave_out": ["var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"],
    "architecture": platform.machine(),
}


def can_be_made() -> bool:
    """Whether this machine has what the recipe needs: Debian's tools, root's rights."""
    return can_use_apt()


def provide() -> Path:
    """The image's archive in the cache, made there if this recipe hasn't been used yet (one to two minutes)."""
    archive = cache() / f"sandbox-{_recipe_hash()}.tar"
    if archive.exists():
        return archive
    if shutil.which("debootstrap") is None:
        apt_install("debootstrap", "debian-archive-keyring", otherwise="debootstrap is not installed")
    tree = cache() / f"sandbox-root-{_recipe_hash()}"
    shutil.rmtree(tree, ignore_errors=True)  # what an interrupted run left
    include = ",".join(_RECIPE["include"])
    run("debootstrap", f"--variant={_RECIPE['variant']}", f"--include={include}", str(_RECIPE["suite"]), tree)
    part = archive.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        tar.add(tree, arcname=".", filter=_kept)
    shutil.rmtree(tree)
    part.rename(archive)  # whole or not at all
    return archive


def load(address: str) -> None:
    """See to it that the engine at `address` has the image of this recipe."""
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.DockerClient(base_url=address, timeout=300)) as client:
            _load(client)
    except DockerException as error:
        raise PartUnavailableError(f"the Docker engine at {address} did not take our image: {error}") from error


def _load(client: "DockerClient") -> None:
    from docker.errors import ImageNotFound

    try:
        labels = client.images.get(NAME).labels
    except ImageNotFound:
        labels = None
    if labels is not None and (labels.get(_LABEL) == _recipe_hash() or not can_be_made()):
        return
    if not can_be_made():
        raise PartUnavailableError(
            f"the engine has no image '{NAME}', and it is made with debootstrap by root on Debian or Ubuntu. Give"
            f" it any small Linux image with python3, for example: docker tag python:3.11-slim {NAME}"
        )
    _import(client, provide())


def _import(client: "DockerClient", archive: Path) -> None:
    repository, tag = NAME.split(":")
    changes = [f'LABEL {_LABEL}="{_recipe_hash()}"', 'CMD ["python3"]']
    answer = client.api.import_image_from_file(str(archive), repository=repository, tag=tag, changes=changes)
    for line in answer.splitlines():
        if "error" in json.loads(line):
            raise PartUnavailableError(f"the Docker engine refused our image: {json.loads(line)['error']}")


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = entry.name.removeprefix("./")
    return None if any(path.startswith(f"{out}/") for out in _RECIPE["leave_out"]) else entry


def _recipe_hash() -> str:
    return hashlib.sha256(json.dumps(_RECIPE, sort_keys=True).encode()).hexdigest()[:12]
