"""The image that containers start from: what it holds, and the id that pins it.

`sandbox.docker.build` makes images and labels them; here they are found. Nothing is ever pulled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.docker.detect import engine_errors
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

DEFAULT_NAME = "dionysus-sandbox:latest"
LABEL = "dionysus.image."  # what our images say about themselves begins with this


@dataclass(frozen=True, slots=True)
class Image:
    """An image on an engine. What isn't ours has no labels: None and nothing then, though it may well have Python.

    Attributes:
        id: `sha256:…`, of the content; containers are created from it, so that a name which moves changes nothing.
        name: what it was asked for by.
        python: version of its Python, such as `3.11.2`.
        node: version of its Node, such as `18.20.4`.
        packages: what pip put into it, as `name==version`, in alphabetical order.
        recipe: fingerprint of what it was asked to hold.
    """

    id: str
    name: str
    python: str | None
    node: str | None
    packages: tuple[str, ...]
    recipe: str | None = None


def find(api: docker.APIClient, name: str) -> Image:
    """Look an image up by name, `name@sha256:…` or id.

    Raises:
        SandboxUnavailable: the engine doesn't have it, and the message says what to type; or it doesn't answer.
    """
    from docker.errors import ImageNotFound

    try:
        found = api.inspect_image(name)
    except ImageNotFound as error:
        raise SandboxUnavailable(f"the Docker engine has no image {name!r}: {how_to_get(name)}") from error
    except engine_errors() as error:
        raise SandboxUnavailable(f"the Docker engine can't be asked for the image {name!r}: {error}") from error
    labels = (found.get("Config") or {}).get("Labels") or {}
    return Image(
        id=str(found["Id"]),
        name=name,
        python=labels.get(f"{LABEL}python") or None,
        node=labels.get(f"{LABEL}node") or None,
        packages=_packages(labels),
        recipe=labels.get(f"{LABEL}recipe") or None,
    )


def how_to_get(name: str) -> str:
    """Return what to type for an image that isn't there."""
    if name == DEFAULT_NAME:
        return "type `dionysus sandbox build`"
    if "@" in name or name.startswith("sha256:"):
        return f"type `docker pull {name}`, or name another image in [sandbox]"
    return f"type `dionysus sandbox build --tag {name}`, or `docker pull {name}` if it is somebody else's"


def _packages(labels: Mapping[str, Any]) -> tuple[str, ...]:
    """Read a label that anybody may have written."""
    try:
        listed = json.loads(labels.get(f"{LABEL}packages", "[]"))
    except (ValueError, RecursionError):
        return ()
    return tuple(str(each) for each in listed) if isinstance(listed, list) else ()
