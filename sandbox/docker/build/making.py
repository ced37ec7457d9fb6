"""The way of a build: a base from a registry or from Debian, packages on top, a look inside, and only then the name.

Until the last step nothing has the image's name, so a build that fails or is interrupted leaves the old one as it was.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.docker.build import debootstrap, wheels
from sandbox.docker.build.recipe import Recipe, Source, checked_tag
from sandbox.docker.build.steps import build_on, import_tree, let_go, look_inside
from sandbox.docker.detect import engine_errors
from sandbox.docker.image import LABEL, Image, find
from sandbox.errors import ImageNotBuilt, SandboxUnavailable

if TYPE_CHECKING:
    import docker

    from sandbox.docker.build.command import Progress

_BASE = "python:3.13-slim"
_DOCKERFILE = Path(__file__).with_name("Dockerfile")
_MARK = f"{LABEL}build"  # on all that one build makes, so that its leftovers are known
_SWEEPING = 10.0  # seconds
_ON_DEBIAN = """\
FROM {base}
{copy}
ENV HOME=/tmp LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp
USER 65534:65534
CMD ["python3"]
"""
# A box can't write bytecode, so it is made here: without it every import of a large package takes seconds.
_COPY = "COPY packages /{site}\nRUN python3 -m compileall -q -j 0 /{site} || true"


def build(
    api: docker.APIClient,
    recipe: Recipe,
    name: str,
    *,
    cache: Path,
    source: Source = "auto",
    progress: Progress = lambda line: None,
    network: str | None = None,
) -> Image:
    """Make an image and give it a name.

    Args:
        api: the engine that gets it.
        recipe: what it shall hold.
        name: such as `dionysus-sandbox:latest`; an image that had it loses it, and goes where no container uses it.
        cache: folder for the base of Debian.
        source: `dockerfile` takes its base from a registry, `debootstrap` from Debian's packages, `auto` the first
            that can be had.
        progress: is told what happens, in lines.
        network: mode of the engine's network for the Dockerfile's commands; None for its own choice.

    Raises:
        ImageNotBuilt: it can't be had, or didn't pass the look inside. Nothing of it is left then.
        SandboxUnavailable: the engine went away meanwhile.
        ValueError: the name can't be given to an image.
    """
    tag, mark = checked_tag(name), uuid.uuid4().hex
    before = _id_of(api, tag)
    try:
        with _swept(api, mark):
            raw = _Work(api, recipe, cache, progress, network, mark).raw(source)
            progress("looking inside")
            image = _labelled(api, raw, recipe)
            repository, _, version = tag.rpartition(":")
            api.tag(image, repository, version, force=True)
    except engine_errors() as error:
        raise SandboxUnavailable(f"the Docker engine failed during the build: {error}") from error
    if before not in (None, image):
        let_go(api, str(before))
    return find(api, tag)


@dataclass(frozen=True, slots=True)
class _Raw:
    """An image without a name, and what its labels shall say about its origin."""

    image: str
    origin: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Work:
    """One build under way: what every step of it needs."""

    api: docker.APIClient
    recipe: Recipe
    cache: Path
    progress: Progress
    network: str | None
    mark: str

    def raw(self, source: Source) -> _Raw:
        """Make the image, without labels and without a name."""
        if source == "debootstrap":
            return self._on_debian(self._base())
        try:
            base = self._pulled()
        except ImageNotBuilt as no_registry:
            if source == "dockerfile":
                raise
            self.progress(f"{no_registry}; trying Debian's packages instead")
            try:
                debian = self._base()
            except ImageNotBuilt as no_debian:
                raise ImageNotBuilt(f"{no_registry}. And {no_debian}") from no_debian
            return self._on_debian(debian)
        return self._from_registry(base)

    def _from_registry(self, base: str) -> _Raw:
        asked = {"NODE": str(int(self.recipe.node)), "PACKAGES": " ".join(self.recipe.packages)}
        image = build_on(
            self.api,
            _DOCKERFILE.read_text(),
            progress=self.progress,
            arguments={"BASE": base, "BUILD": self.mark, **asked},
            network=self.network,
        )
        return _Raw(image, {"source": "dockerfile", "base": base})

    def _pulled(self) -> str:
        """Bring the base image up to date and return it with its digest; one that is there already serves too."""
        from docker.errors import APIError

        repository, tag = _BASE.rsplit(":", 1)
        self.progress(f"asking the registry for {_BASE}")
        reason = "it sent no digest"
        try:
            for line in self.api.pull(repository, tag=tag, stream=True, decode=True):
                reason = str(line.get("error", reason))
        except APIError as error:
            reason = str(error.explanation or error)
        known: list[str] = []
        with suppress(APIError):
            known = self.api.inspect_image(_BASE).get("RepoDigests") or []
        if not known:
            raise ImageNotBuilt(f"the registry can't be reached by the Docker engine ({reason})")
        return known[0]

    def _base(self) -> debootstrap.Base:
        base = debootstrap.base(node=self.recipe.node, cache=self.cache, progress=self.progress)
        theirs = str(self.api.info().get("Architecture"))
        if theirs != base.machine:
            raise ImageNotBuilt(
                f"the image can't be built here for that engine: it runs on {theirs}, this machine is {base.machine}"
            )
        return base

    def _on_debian(self, base: debootstrap.Base) -> _Raw:
        with tempfile.TemporaryDirectory(prefix="dionysus-packages-") as place:
            folder, copy = None, ""
            if self.recipe.packages:
                folder, copy = Path(place) / "packages", _COPY.format(site=base.site)
                wheels.install(self.recipe, folder, python=base.python, machine=base.machine, progress=self.progress)
            self.progress("handing the base of the image to the engine")
            tree = import_tree(self.api, base.archive, {_MARK: self.mark})
            text = _ON_DEBIAN.format(base=tree, copy=copy)
            image = build_on(self.api, text, progress=self.progress, folder=folder)
        return _Raw(image, {"source": "debootstrap", "base": base.archive.stem})


def _labelled(api: docker.APIClient, raw: _Raw, recipe: Recipe) -> str:
    """Put what the look inside found on the image; return the new id."""
    contents = look_inside(api, raw.image, recipe.names)
    if recipe.node and contents.node is None:
        raise ImageNotBuilt("the image was built and does not work: it was to have Node, and `node` doesn't run in it")
    said = {
        **raw.origin,
        "python": contents.python,
        "node": contents.node or "",
        "packages": json.dumps(contents.packages),
        "recipe": recipe.fingerprint(),
    }
    labels = {f"{LABEL}{name}": value for name, value in said.items()}
    return build_on(api, f"FROM {raw.image}\n", labels=labels, progress=lambda line: None)


def _id_of(api: docker.APIClient, tag: str) -> str | None:
    try:
        return find(api, tag).id
    except SandboxUnavailable:
        return None


@contextmanager
def _swept(api: docker.APIClient, mark: str) -> Generator[None]:
    """Remove what a build has made so far if it doesn't come to its end, by Ctrl-C or otherwise."""
    try:
        yield
    except BaseException:
        with suppress(*engine_errors()):  # the first error is the one to tell
            _sweep(api, f"{_MARK}={mark}")
        raise


def _sweep(api: docker.APIClient, mark: str) -> None:
    """Remove images by their label, youngest first; the engine may need a moment to let go of the last."""
    until = time.monotonic() + _SWEEPING
    while time.monotonic() < until:
        made = api.images(all=True, filters={"label": mark})
        for _, image in sorted(((each["Created"], each["Id"]) for each in made), reverse=True):
            let_go(api, image)
        if not api.images(all=True, filters={"label": mark}):
            return
        time.sleep(0.2)
