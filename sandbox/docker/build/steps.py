"""The steps of a build that an engine takes: import a tree, build on an image, look inside, let go of an image."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import ImageNotBuilt

if TYPE_CHECKING:
    import docker

    from sandbox.docker.build.command import Progress

_LOOK = 120  # seconds that a look inside may take; importing large packages on a slow disk does
_LOOK_MEMORY = 2 * 1024**3  # bytes
_INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found inside an image: versions, and packages as `name==version`."""

    python: str
    node: str | None
    packages: tuple[str, ...]


def import_tree(api: docker.APIClient, archive: Path, labels: Mapping[str, str]) -> str:
    """Make an image of a tree's archive; return its id."""
    changes = [f"LABEL {name}={json.dumps(value)}" for name, value in labels.items()]
    said = api.import_image_from_file(str(archive), changes=changes)
    for line in map(json.loads, said.splitlines()):
        if "error" in line:
            raise ImageNotBuilt(f"the Docker engine did not take the image: {line['error']}")
        if str(line.get("status", "")).startswith("sha256:"):
            return str(line["status"])
    raise ImageNotBuilt(f"the Docker engine took the image and did not say its id: {said[-200:]}")


def build_on(
    api: docker.APIClient,
    dockerfile: str,
    *,
    progress: Progress,
    labels: Mapping[str, str] | None = None,
    folder: Path | None = None,
    arguments: Mapping[str, str] | None = None,
    network: str | None = "none",
) -> str:
    """Build an image; return its id.

    Args:
        api: the engine.
        dockerfile: the text of it.
        progress: is told every step.
        labels: put on the image.
        folder: what the Dockerfile may copy from, under the name `packages`.
        arguments: of the Dockerfile.
        network: mode of the network for its commands; None for what the engine has.

    Raises:
        ImageNotBuilt: a step failed; with its last lines.
    """
    wanted = {
        "rm": "1",
        "forcerm": "1",
        "nocache": "1",  # or yesterday's packages would come out of the engine's cache
        "labels": json.dumps(dict(labels or {})),
        "buildargs": json.dumps(dict(arguments or {})),
        **({"networkmode": network} if network else {}),
    }
    # Not `api.build`: it keeps the connection open after Ctrl-C, and as long as it is open the engine builds on.
    url = f"{api.base_url}/v{api.api_version}/build"
    kind = {"Content-Type": "application/x-tar"}
    with (
        _context(dockerfile, folder) as context,
        api.post(url, params=wanted, data=context, headers=kind, stream=True, timeout=api.timeout) as answer,
    ):
        return _built(map(json.loads, filter(None, answer.iter_lines())), progress)


def look_inside(api: docker.APIClient, image: str, wanted: tuple[str, ...]) -> Contents:
    """Run the image once, locked up, and see what it holds.

    Raises:
        ImageNotBuilt: it has no Python, a package that was asked for can't be imported, or a setuid bit is left.
    """
    code, said, complaint = _ran(api, image, ["python3", "-I", "-c", _INSIDE.read_text(), *wanted])
    if code:
        raise ImageNotBuilt(f"the image was built and does not work: python3 ended with {code}. {complaint[-800:]}")
    try:
        found = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise ImageNotBuilt(f"the image was built and does not work: python3 said {said[-200:]!r}") from error
    if found["broken"]:
        raise ImageNotBuilt(
            "the image was built and packages in it don't work; leave them out or ask for another version:\n"
            + "\n".join(found["broken"])
        )
    if found["setuid"]:
        raise ImageNotBuilt(f"the image was built with setuid bits left in it: {', '.join(found['setuid'])}")
    return Contents(found["python"], found["node"], tuple(found["packages"]))


def let_go(api: docker.APIClient, image: str) -> None:
    """Remove an image, unless a container still uses it or it has another name."""
    from docker.errors import APIError

    with suppress(APIError):
        api.remove_image(image)


def _built(stream: Iterator[dict[str, Any]], progress: Progress) -> str:
    image, last = None, ""
    for line in stream:
        if error := line.get("error") or line.get("message"):  # the second where the engine refused it all
            raise ImageNotBuilt(f"the image can't be built: {error}. Its last words:\n{last[-1500:]}")
        text = str(line.get("stream") or line.get("status") or "")
        last += text
        for each in text.splitlines():
            if each.strip():
                progress(each.strip())
        image = (line.get("aux") or {}).get("ID", image)
    if image is None:
        raise ImageNotBuilt(f"the Docker engine built the image and did not say its id: {last[-200:]}")
    return image


@contextmanager
def _context(dockerfile: str, folder: Path | None) -> Generator[Any]:
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(dockerfile.encode())
            tar.addfile(entry, io.BytesIO(dockerfile.encode()))
            if folder is not None:
                tar.add(folder, arcname="packages", filter=_of_root)
        file.seek(0)
        yield file


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files of wheels belong to root and nobody may write them, whatever our umask was and whoever we are."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _ran(api: docker.APIClient, image: str, command: list[str]) -> tuple[int, str, str]:
    limits = api.create_host_config(
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit=_LOOK_MEMORY,
        pids_limit=200,
        tmpfs={"/tmp": "size=64m,nosuid,nodev"},  # noqa: S108 - the container's
        log_config={"Type": "json-file", "Config": {}},  # the one driver whose lines can be read on every engine
    )
    container = api.create_container(
        image,
        command,
        user="65534:65534",
        host_config=limits,
        environment={"HOME": "/tmp"},  # noqa: S108
    )["Id"]
    try:
        api.start(container)
        code = int(api.wait(container, timeout=_LOOK)["StatusCode"])
        said, complaint = (api.logs(container, stdout=out, stderr=not out).decode() for out in (True, False))
        return code, said, complaint
    finally:
        api.remove_container(container, force=True, v=True)
