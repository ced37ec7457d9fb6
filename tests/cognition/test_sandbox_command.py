"""`dionysus sandbox`, and what doctor says of engine and image: bad input, no engine, no image, and the real ones."""

from __future__ import annotations

import json
import socket

import pytest

from tests.cognition.command_line import Command

NOWHERE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


class TestBadInput:
    @pytest.mark.parametrize(
        "package",
        [
            "../evil",
            "/etc/passwd",
            "https://host/x.whl",
            "git+ssh://h/x",
            "numpy>=2",
            "numpy[x]",
            "$(id)",
            "a b",
            "",
            "\x1b[31m",
        ],
    )
    def test_what_is_no_package_is_refused_before_any_engine_is_asked(self, command: Command, package: str) -> None:
        ended = command("sandbox", "build", f"--with={package}", env=NOWHERE)
        assert ended.code == 2
        assert "is not the name of a package" in " ".join(ended.err.split())
        assert "\x1b" not in ended.err

    def test_several_packages_after_one_option_or_several_options(self, command: Command) -> None:
        """Both get as far as the engine, which isn't there."""
        for arguments in (("--with", "numpy", "pandas"), ("--with", "numpy", "--with", "pandas==3.0.1", "pillow")):
            ended = command("sandbox", "build", *arguments, env=NOWHERE)
            assert ended.code == 6
            assert "No Docker engine was found" in ended.err

    def test_the_last_of_several_is_checked_too(self, command: Command) -> None:
        ended = command("sandbox", "build", "--with", "numpy", "./here", env=NOWHERE)
        assert ended.code == 2
        assert "./here" in ended.err

    def test_packages_without_the_option_are_a_mistake(self, command: Command) -> None:
        ended = command("sandbox", "build", "numpy", "pandas", env=NOWHERE)
        assert ended.code == 2
        assert "--with numpy pandas" in " ".join(ended.err.split())

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--from", "scratch"), "'scratch' is not one of 'auto', 'dockerfile', 'debootstrap'"),
            (("--tag", "Upper"), "can't be the name of an image"),
            (("--tag", "x@sha256:" + "0" * 64), "can't be the name of an image"),
            (("--with",), "requires an argument"),
            (("--with", "numpy", "--with", "numpy==2"), "asked for twice"),
            (("--index-url", "http://host"), "No such option"),
        ],
    )
    def test_other_options_are_checked(self, command: Command, arguments: tuple[str, ...], said: str) -> None:
        ended = command("sandbox", "build", *arguments, env=NOWHERE)
        assert ended.code == 2
        assert said in " ".join(ended.err.split())

    def test_settings_are_checked(self, command: Command) -> None:
        command.settings('[sandbox]\nimage = "-v /:/host"\nruntime = "a b"')
        ended = command("sandbox", "status", env=NOWHERE)
        assert ended.code == 2
        assert "image" in ended.err
        assert "runtime" in ended.err


class TestNoEngine:
    @pytest.mark.parametrize("name", ["build", "status"])
    def test_it_is_said_with_what_to_do_and_code_6(self, command: Command, name: str) -> None:
        ended = command("sandbox", name, env=NOWHERE)
        assert ended.code == 6
        assert "there is no /nowhere/docker.sock (named by DOCKER_HOST)" in ended.err
        assert "systemctl start docker" in ended.err
        assert ended.out == ""

    def test_as_json_too(self, command: Command) -> None:
        ended = command("sandbox", "status", "--json", env=NOWHERE)
        assert (ended.code, ended.json["error"]["kind"]) == (6, "SandboxUnavailable")

    def test_doctor_warns_where_containers_are_a_choice_and_fails_where_they_are_asked_for(
        self, command: Command
    ) -> None:
        for backend, state in (("auto", "warn"), ("docker", "fail")):
            ended = command("doctor", "--sandbox", backend, "--json", env=NOWHERE)
            found = {check["part"]: check for check in ended.json["checks"]}
            assert found["engine"]["state"] == state
            assert found["engine"]["finding"] == "no Docker engine was found"
            assert "DOCKER_HOST" in found["engine"]["advice"]
            assert "image" not in found

    def test_doctor_does_not_look_where_containers_are_not_wanted(self, command: Command) -> None:
        ended = command("doctor", "--sandbox", "monty", "--json", env=NOWHERE)
        assert "engine" not in {check["part"] for check in ended.json["checks"]}

    def test_one_that_hangs_delays_doctor_by_seconds_only(self, command: Command) -> None:
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(command.folder / "mute.sock"))
            mute.listen()
            ended = command("sandbox", "status", env={"DOCKER_HOST": f"unix://{command.folder}/mute.sock"})
        assert ended.code == 6
        assert "does not answer" in ended.err


@pytest.mark.docker
class TestTheRealEngine:
    def test_status_shows_engine_and_image(self, command: Command, docker_engine: str, sandbox_image: str) -> None:
        command.settings(f'[sandbox]\nimage = "{sandbox_image}"')
        ended = command("sandbox", "status", "--json")
        assert ended.code == 0, ended.err
        assert ended.json["engine"]["address"] == docker_engine
        assert ended.json["image"]["id"].startswith("sha256:")
        assert ended.json["missing"] is None
        assert isinstance(ended.json["containers"], list)
        told = command("sandbox", "status").out
        assert docker_engine in told
        assert ended.json["image"]["id"][7:19] in told
        assert "pandas==" in told

    def test_a_missing_image_is_told_with_what_to_type(self, command: Command, docker_engine: str) -> None:
        command.settings('[sandbox]\nimage = "dionysus-not-there:1"')
        ended = command("sandbox", "status")
        assert ended.code == 6
        assert "dionysus sandbox build --tag dionysus-not-there:1" in ended.out
        for backend, state in (("auto", "warn"), ("docker", "fail")):
            checks = {each["part"]: each for each in command("doctor", "--sandbox", backend, "--json").json["checks"]}
            assert checks["engine"]["state"] in ("ok", "warn")
            assert checks["image"]["state"] == state
            assert "dionysus sandbox build" in checks["image"]["advice"]

    def test_doctor_names_engine_limits_and_image(
        self, command: Command, docker_engine: str, sandbox_image: str
    ) -> None:
        command.settings(f'[sandbox]\nimage = "{sandbox_image}"')
        checks = {each["part"]: each for each in json.loads(command("doctor", "--json").out)["checks"]}
        assert docker_engine in checks["engine"]["finding"]
        assert "cgroup v" in checks["engine"]["finding"]
        assert "runsc" in checks["engine"]["finding"]
        assert "Python 3." in checks["image"]["finding"]

    def test_a_runtime_that_is_not_there_is_told(self, command: Command, docker_engine: str) -> None:
        command.settings('[sandbox]\nbackend = "docker"\nruntime = "kata"')
        ended = command("doctor", "--json")
        failed = [each for each in ended.json["checks"] if each["state"] == "fail" and "kata" in each["finding"]]
        assert failed
        assert ended.code == 1
