"""Images are built on the real engine: what gets in, what stays out, and that nothing half-made is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, ImageNotFound

from sandbox import ImageNotBuilt, SandboxSettings
from sandbox.docker.build import Recipe, build, debootstrap, steps
from sandbox.docker.detect import connect
from sandbox.docker.image import LABEL, Image, find
from sandbox.docker.settings import build_cache as users_cache
from tests.sandbox.docker.tiny_wheels import offline, wheel

pytestmark = pytest.mark.docker

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "sandbox/docker/build/Dockerfile"


def build_cache() -> Path:
    """Where scripts/provision keeps the base of Debian, so that these tests needn't make it."""
    return Path(os.environ.get("TEST_SANDBOX_CACHE") or users_cache())


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine), timeout=300)) as api:
        yield api


@pytest.fixture
def tag(api: docker.APIClient) -> Iterator[str]:
    """A name for one image, which is removed afterwards."""
    name = f"dionysus-test-{uuid.uuid4().hex[:12]}:x"
    yield name
    with suppress(ImageNotFound):
        api.remove_image(name, force=True)


@pytest.fixture
def derived(api: docker.APIClient, sandbox_image: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Make images of ours that something is wrong with; return their ids."""
    made = []

    def make(*lines: str, folder: Path | None = None, base: str = sandbox_image) -> str:
        text = "\n".join((f"FROM {base}", "USER root", *lines))
        made.append(steps.build_on(api, text, progress=silent, folder=folder))
        return made[-1]

    yield make
    for image in reversed(made):
        with suppress(APIError):
            api.remove_image(image, force=True)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only one that pip and uv know."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name, value in offline(folder).items():
        monkeypatch.setenv(name, value)
    return folder


def marked(api: docker.APIClient) -> set[str]:
    """Images that a build made, whole or half; without those that another test of this moment made from ours."""
    found = api.images(all=True, filters={"label": f"{LABEL}build"})
    return {each["Id"] for each in found if f"{LABEL}test" not in (each.get("Labels") or {})}


def run(api: docker.APIClient, image: str, *command: str) -> str:
    """Run a command as a session would: no network, nothing to write, a user of its own."""
    limits = api.create_host_config(network_mode="none", read_only=True, cap_drop=["ALL"])
    box = api.create_container(image, list(command), user="61234:61234", host_config=limits)["Id"]
    try:
        api.start(box)
        code = api.wait(box)["StatusCode"]
        said = api.logs(box).decode()
    finally:
        api.remove_container(box, force=True)
    assert code == 0, said
    return said


class TestBuilt:
    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, api: docker.APIClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
        """With one package of ours; read by all tests of the class."""
        name, folder = f"dionysus-test-{uuid.uuid4().hex[:12]}:x", tmp_path_factory.mktemp("wheels")
        wheel(folder, "tinydionysus", "ANSWER = 42\n")
        with pytest.MonkeyPatch.context() as patch:
            for key, value in offline(folder).items():
                patch.setenv(key, value)
            yield build(api, Recipe.of(["tinydionysus==1.0"]), name, cache=build_cache(), source="debootstrap")
        api.remove_image(name, force=True)

    def test_the_package_is_there_compiled_and_read_only(self, api: docker.APIClient, image: Image) -> None:
        assert image.packages == ("tinydionysus==1.0",)
        seen = "t.ANSWER, os.path.exists(t.__cached__), os.access(t.__file__, os.W_OK)"
        code = f"import os, tinydionysus as t; print({seen})"
        assert run(api, image.id, "python3", "-c", code).split() == ["42", "True", "False"]

    def test_scripts_with_the_path_of_our_python_are_left_out(self, api: docker.APIClient, image: Image) -> None:
        found = run(api, image.id, "find", "/usr/local", "-name", "bin", "-newer", "/usr/bin/python3", "-type", "d")
        assert "dist-packages" not in found

    def test_labels_say_what_it_holds_and_where_from(self, api: docker.APIClient, image: Image) -> None:
        labels = api.inspect_image(image.id)["Config"]["Labels"]
        assert labels[f"{LABEL}source"] == "debootstrap"
        assert labels[f"{LABEL}base"].startswith("sandbox-base-")
        assert labels[f"{LABEL}recipe"] == image.recipe == Recipe.of(["tinydionysus==1.0"]).fingerprint()
        assert json.loads(labels[f"{LABEL}packages"]) == ["tinydionysus==1.0"]
        assert run(api, image.id, "python3", "--version").split()[1] == image.python
        assert run(api, image.id, "node", "--version").strip() == f"v{image.node}"

    def test_who_starts_it_by_hand_is_nobody(self, api: docker.APIClient, image: Image) -> None:
        config = api.inspect_image(image.id)["Config"]
        assert config["User"] == "65534:65534"
        assert config["WorkingDir"] == "/tmp"
        assert config["Cmd"] == ["python3"]
        assert {"HOME=/tmp", "PYTHONDONTWRITEBYTECODE=1"} <= set(config["Env"])

    def test_no_setuid_or_setgid_bit_is_left(self, api: docker.APIClient, image: Image) -> None:
        find_all = "find / -xdev -perm /6000 2>/dev/null; true"
        assert run(api, image.id, "sh", "-c", find_all) == ""

    def test_nothing_of_the_build_machine_and_of_apt_is_left(self, api: docker.APIClient, image: Image) -> None:
        gone = ("/var/cache/apt", "/var/lib/apt/lists", "/usr/share/doc", "/usr/share/man", "/debootstrap")
        full = "for d in " + " ".join(gone) + "; do ls -A $d 2>/dev/null; done; true"
        assert run(api, image.id, "sh", "-c", full) == ""

    def test_it_has_the_folders_that_an_engine_mounts(self, api: docker.APIClient, image: Image) -> None:
        assert run(api, image.id, "ls", "-d", "/proc", "/sys", "/dev", "/tmp", "/run").split() == [
            *("/dev", "/proc", "/run", "/sys", "/tmp")
        ]


class TestTheNameMovesLast:
    def test_a_new_build_takes_the_name_and_the_old_image_goes(
        self, api: docker.APIClient, tag: str, sandbox_image: str
    ) -> None:
        repository, version = tag.split(":")
        old = steps.build_on(api, f"FROM {sandbox_image}\nLABEL old=2", progress=silent)
        api.tag(old, repository, version)
        new = build(api, Recipe(), tag, cache=build_cache(), source="debootstrap")
        assert find(api, tag).id == new.id != old
        with pytest.raises(ImageNotFound):
            api.inspect_image(old)

    def test_an_old_image_that_a_container_uses_stays(
        self, api: docker.APIClient, tag: str, sandbox_image: str
    ) -> None:
        repository, version = tag.split(":")
        old = steps.build_on(api, f"FROM {sandbox_image}\nLABEL old=1", progress=silent)
        api.tag(old, repository, version)
        box = api.create_container(tag, ["true"])["Id"]
        try:
            build(api, Recipe(), tag, cache=build_cache(), source="debootstrap")
            assert api.inspect_image(old)["Id"] == old
            api.start(box)
            assert api.wait(box)["StatusCode"] == 0
        finally:
            api.remove_container(box, force=True)
            api.remove_image(old)

    def test_a_package_that_does_not_exist_leaves_all_as_it_was(
        self, api: docker.APIClient, tag: str, sandbox_image: str, packages: Path
    ) -> None:
        repository, version = tag.split(":")
        api.tag(sandbox_image, repository, version)
        before, images = find(api, tag).id, marked(api)
        with pytest.raises(ImageNotBuilt, match="nosuchdionysus"):
            build(api, Recipe.of(["nosuchdionysus"]), tag, cache=build_cache(), source="debootstrap")
        assert find(api, tag).id == before
        assert marked(api) == images

    def test_nothing_is_built_from_source_on_this_machine(
        self, api: docker.APIClient, tag: str, packages: Path, tmp_path: Path
    ) -> None:
        """Building a wheel would run code of the package here, outside of any container."""
        project = tmp_path / "evildionysus-1.0"
        project.mkdir()
        (project / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
        shutil.make_archive(str(packages / "evildionysus-1.0"), "gztar", tmp_path, "evildionysus-1.0")
        with pytest.raises(ImageNotBuilt, match="evildionysus"):
            build(api, Recipe.of(["evildionysus"]), tag, cache=build_cache(), source="debootstrap")
        assert not (tmp_path / "ran").exists()

    def test_a_wheel_for_another_machine_is_not_taken(self, api: docker.APIClient, tag: str, packages: Path) -> None:
        wheel(packages, "otherdionysus", "", tag="cp39-cp39-win_amd64")
        with pytest.raises(ImageNotBuilt, match="otherdionysus"):
            build(api, Recipe.of(["otherdionysus"]), tag, cache=build_cache(), source="debootstrap")

    def test_a_package_that_can_not_be_imported_is_told_before_anybody_relies_on_it(
        self, api: docker.APIClient, tag: str, packages: Path
    ) -> None:
        wheel(packages, "brokendionysus", "import libmissing\n")
        images = marked(api)
        with pytest.raises(ImageNotBuilt, match="import brokendionysus raises ModuleNotFoundError.*libmissing"):
            build(api, Recipe.of(["brokendionysus"]), tag, cache=build_cache(), source="debootstrap")
        assert marked(api) == images
        with pytest.raises(ImageNotFound):
            api.inspect_image(tag)

    @pytest.mark.parametrize(
        ("moment", "number", "code"),
        [
            ("handing the base", signal.SIGINT, 130),
            ("Step 2/", signal.SIGTERM, 143),
            ("looking inside", signal.SIGINT, 130),
        ],
    )
    def test_a_build_that_is_interrupted_leaves_nothing(
        self, api: docker.APIClient, tag: str, tmp_path: Path, moment: str, number: int, code: int
    ) -> None:
        images = marked(api)
        arguments = ["sandbox", "build", "--tag", tag, "--from", "debootstrap"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
        (tmp_path / "dionysus").symlink_to(build_cache())
        command = [sys.executable, "-m", "cognition.cli", *arguments]
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            said = [next(line for line in process.stderr or () if moment in line)]
            process.send_signal(number)
            out, rest = process.communicate(timeout=200)
        assert process.returncode == code, (out, said, rest)
        assert "Traceback" not in rest
        until = time.monotonic() + 15
        while marked(api) != images and time.monotonic() < until:
            time.sleep(0.1)
        assert marked(api) == images
        with pytest.raises(ImageNotFound):
            api.inspect_image(tag)


class TestFromDebian:
    def test_where_it_can_not_be_made_the_reason_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ImageNotBuilt, match="debootstrap (is not installed|needs root|makes images on Linux)"):
            debootstrap.base(node=False, cache=tmp_path, progress=silent)
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]

    def test_a_base_in_the_cache_is_used_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        made = debootstrap.base(node=True, cache=build_cache(), progress=silent)
        monkeypatch.setenv("PATH", str(tmp_path))  # nothing could be made anew
        assert debootstrap.base(node=True, cache=build_cache(), progress=silent) == made
        assert made.site == f"usr/local/lib/python{made.python}/dist-packages"

    def test_an_interrupted_debootstrap_leaves_no_tree_no_mount_and_no_process(self, tmp_path: Path) -> None:
        if debootstrap.why_not():
            with pytest.raises(ImageNotBuilt, match="debootstrap"):
                debootstrap.base(node=False, cache=tmp_path, progress=silent)
            return

        def until_it_unpacks(line: str) -> None:
            if line.startswith("I: Retrieving"):
                raise KeyboardInterrupt

        (tmp_path / "sandbox-base-x-root-old").mkdir()  # of another recipe: not ours to remove
        with pytest.raises(KeyboardInterrupt):
            debootstrap.base(node=False, cache=tmp_path, progress=until_it_unpacks)
        assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".lock"]
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        assert str(tmp_path) not in subprocess.check_output(["ps", "axww"], text=True)

    def test_what_a_killed_build_left_is_removed_by_the_next(self, tmp_path: Path) -> None:
        def give_up(line: str) -> None:
            if line.startswith("I: "):
                raise KeyboardInterrupt

        if debootstrap.why_not():
            return
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                debootstrap.base(node=False, cache=tmp_path, progress=give_up)
            (lock,) = tmp_path.glob("*.lock")
            (tmp_path / f"{lock.stem}-root-left").mkdir(exist_ok=True)
            (tmp_path / f"{lock.stem}-part-1").touch()
        with pytest.raises(KeyboardInterrupt):
            debootstrap.base(node=False, cache=tmp_path, progress=give_up)
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


class TestFromTheDockerfile:
    """With a base that is made here, for tests have no registry: the file itself, as `build` uses it."""

    @pytest.fixture
    def base(self, derived: Callable[..., str], packages: Path, tmp_path: Path) -> str:
        """What the registry's Python has and ours hasn't: pip, and files that are setuid."""
        import pip

        folder, theirs = tmp_path / "context", Path(pip.__file__).parent
        for each in (theirs, *theirs.parent.glob("pip-*.dist-info")):
            shutil.copytree(each, folder / each.name)
        shutil.copytree(packages, folder / "wheels")
        wheel(folder / "wheels", "tinydionysus", "ANSWER = 42\n")
        return derived(
            "COPY packages /opt/pip",
            "ENV PYTHONPATH=/opt/pip PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/pip/wheels",
            "RUN touch /usr/bin/evil && chmod 6755 /usr/bin/evil && mkdir -p /usr/share/doc/x && chmod g+s /srv",
            folder=folder,
        )

    def test_it_installs_strips_and_becomes_nobody(
        self, api: docker.APIClient, base: str, derived: Callable[..., str]
    ) -> None:
        arguments = {"BASE": base, "BUILD": "x1", "NODE": "0", "PACKAGES": "tinydionysus==1.0"}
        image = steps.build_on(api, DOCKERFILE.read_text(), progress=silent, arguments=arguments)
        try:
            config = api.inspect_image(image)["Config"]
            assert config["User"] == "65534:65534"
            assert config["Labels"][f"{LABEL}build"] == "x1"
            contents = steps.look_inside(api, image, ("tinydionysus",))
            assert "tinydionysus==1.0" in contents.packages
            assert run(api, image, "sh", "-c", "ls -A /usr/share/doc 2>/dev/null; ls -A /var/lib/apt/lists") == ""
            code = "import importlib.util as u; print(u.find_spec('pip'))"
            assert run(api, image, "python3", "-c", code).strip() == "None"
        finally:
            api.remove_image(image, force=True)

    def test_a_package_that_is_missing_stops_it(self, api: docker.APIClient, base: str) -> None:
        images = {each["Id"] for each in api.images(all=True, filters={"label": f"{LABEL}build=x2"})}
        arguments = {"BASE": base, "BUILD": "x2", "NODE": "0", "PACKAGES": "nosuchdionysus"}
        with pytest.raises(ImageNotBuilt, match="nosuchdionysus"):
            steps.build_on(api, DOCKERFILE.read_text(), progress=silent, arguments=arguments)
        left = {each["Id"] for each in api.images(all=True, filters={"label": f"{LABEL}build=x2"})} - images
        for image in left:  # `build` sweeps them by this very label
            with suppress(APIError):
                api.remove_image(image, force=True)
        assert not api.images(all=True, filters={"label": f"{LABEL}build=x2"})

    def test_without_a_registry_it_is_said_which_ways_there_are(
        self, api: docker.APIClient, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sandbox.docker.build import making

        monkeypatch.setattr(making, "_BASE", "localhost:1/nothing/python:3")
        with pytest.raises(ImageNotBuilt, match="the registry can't be reached by the Docker engine"):
            build(api, Recipe(), tag, cache=tmp_path, source="dockerfile")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ImageNotBuilt, match=r"the registry can't be reached.*\. And the image can't be built from"):
            build(api, Recipe(), tag, cache=tmp_path)


class TestTheLookInside:
    def test_a_setuid_file_is_found(self, api: docker.APIClient, derived: Callable[..., str]) -> None:
        with pytest.raises(ImageNotBuilt, match="setuid bits left in it: .*/usr/bin/evil"):
            steps.look_inside(api, derived("RUN touch /usr/bin/evil && chmod 4755 /usr/bin/evil"), ())

    def test_an_image_without_python_is_refused(self, api: docker.APIClient, derived: Callable[..., str]) -> None:
        with pytest.raises((ImageNotBuilt, APIError)):
            steps.look_inside(api, derived("RUN rm /usr/bin/python3"), ())

    def test_a_package_that_was_asked_for_and_is_not_there(self, api: docker.APIClient, sandbox_image: str) -> None:
        with pytest.raises(ImageNotBuilt, match="nosuchdionysus: it is not there"):
            steps.look_inside(api, sandbox_image, ("numpy", "nosuchdionysus"))

    def test_it_sees_the_packages_of_the_tests(self, api: docker.APIClient, sandbox_image: str) -> None:
        contents = steps.look_inside(api, sandbox_image, ("numpy", "pandas", "pillow"))
        assert contents.packages == find(api, sandbox_image).packages
        assert contents.node == find(api, sandbox_image).node

    def test_a_python_that_talks_other_things_is_refused(
        self, api: docker.APIClient, derived: Callable[..., str]
    ) -> None:
        liar = derived(
            "RUN cd /usr/bin && rm python3 && printf '#!/bin/sh\\necho hello' > python3 && chmod 755 python3"
        )
        with pytest.raises(ImageNotBuilt, match="does not work: python3"):
            steps.look_inside(api, liar, ())
