"""The image that sessions start from is found, pinned, and read with care; one that is missing comes with advice."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from sandbox import SandboxSettings, SandboxUnavailable
from sandbox.docker.detect import connect
from sandbox.docker.image import DEFAULT_NAME, LABEL, find, how_to_get
from tests.sandbox.docker.engines import forwarded

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


@pytest.fixture
def foreign(api: docker.APIClient) -> Iterator[Callable[..., str]]:
    """Make images that are not ours, with labels of our kind; return their names."""
    made = []

    def make(**labels: str) -> str:
        name = f"dionysus-test-{uuid.uuid4().hex[:12]}:x"
        empty = io.BytesIO()
        tarfile.open(fileobj=empty, mode="w").close()
        changes = [f"LABEL {LABEL}{key}={json.dumps(value)}" for key, value in labels.items()]
        repository, tag = name.split(":")
        api.import_image_from_data(empty.getvalue(), repository=repository, tag=tag, changes=changes)
        made.append(name)
        return name

    yield make
    for name in made:
        api.remove_image(name, force=True)


def test_our_image_says_what_it_holds(api: docker.APIClient, sandbox_image: str) -> None:
    image = find(api, sandbox_image)
    assert image.name == sandbox_image
    assert image.id.startswith("sha256:")
    assert (image.python or "").startswith("3.")
    assert image.node
    assert image.node[0].isdigit()
    names = {package.partition("==")[0] for package in image.packages}
    assert {"numpy", "pandas", "pillow"} <= names
    assert "pip" not in names


def test_it_is_found_by_its_id_too(api: docker.APIClient, sandbox_image: str) -> None:
    image = find(api, sandbox_image)
    by_id = find(api, image.id)
    assert (by_id.id, by_id.packages, by_id.name) == (image.id, image.packages, image.id)


def test_its_id_still_means_it_after_the_name_moved(api: docker.APIClient, foreign: Callable[..., str]) -> None:
    first, second = foreign(python="3.11.0"), foreign(python="3.12.0")
    pinned = find(api, first)
    repository, tag = first.split(":")
    api.tag(pinned.id, f"{repository}-kept", tag)
    try:
        api.tag(find(api, second).id, repository, tag, force=True)
        assert find(api, first).python == "3.12.0"
        assert find(api, pinned.id).python == "3.11.0"
    finally:
        api.remove_image(f"{repository}-kept:{tag}")


def test_an_image_of_somebody_else_serves_without_labels(api: docker.APIClient, foreign: Callable[..., str]) -> None:
    image = find(api, foreign())
    assert (image.python, image.node, image.packages, image.recipe) == (None, None, (), None)


@pytest.mark.parametrize("packages", ["", "{", "3", '{"a": 1}', "null", "[" * 5_000, '"numpy"'])
def test_labels_that_anybody_may_have_written_break_nothing(
    api: docker.APIClient, foreign: Callable[..., str], packages: str
) -> None:
    assert find(api, foreign(packages=packages, python="")).packages == ()


def test_what_is_listed_becomes_text(api: docker.APIClient, foreign: Callable[..., str]) -> None:
    assert find(api, foreign(packages='["numpy==1", 3, null, ["x"]]')).packages == ("numpy==1", "3", "None", "['x']")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("dionysus-not-there:1", "dionysus sandbox build --tag dionysus-not-there:1"),
        ("dionysus-not-there@sha256:" + "0" * 64, "docker pull dionysus-not-there@sha256:"),
        ("sha256:" + "0" * 64, "docker pull sha256:"),
    ],
)
def test_a_missing_image_comes_with_what_to_type(api: docker.APIClient, name: str, advice: str) -> None:
    with pytest.raises(SandboxUnavailable, match="the Docker engine has no image") as missing:
        find(api, name)
    assert advice in str(missing.value)


def test_the_default_one_is_made_by_two_words() -> None:
    assert how_to_get(DEFAULT_NAME) == "type `dionysus sandbox build`"
    assert SandboxSettings().image == DEFAULT_NAME


@pytest.mark.parametrize("name", ["", "-v", "a b", "--privileged", "x\n", "../x", "a" * 300, "a$(id)"])
def test_names_that_can_be_none_are_refused_in_the_settings(name: str) -> None:
    with pytest.raises(ValueError, match="image"):
        SandboxSettings(image=name)


def test_an_engine_that_is_gone_is_told(docker_engine: str, sandbox_image: str) -> None:
    with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
        gone = connect(SandboxSettings(engine=f"tcp://127.0.0.1:{port}"))
    with closing(gone), pytest.raises(SandboxUnavailable, match="can't be asked for the image"):
        find(gone, sandbox_image)
