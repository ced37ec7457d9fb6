"""Which engine is found, what it is like, and what is said where there is none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sandbox import SandboxSettings, SandboxUnavailable
from sandbox.docker import address, detect
from sandbox.docker.address import candidates, usual_sockets
from sandbox.docker.detect import choose_runtime, connect, engine_of, facts
from sandbox.docker.settings import DockerEnvironment
from tests.sandbox.docker.engines import forwarded, http, listening
from tests.sandbox.docker.ssh_engine import over_ssh

VERSION = {"Version": "29.1.0", "ApiVersion": "1.52"}
PLAIN = {
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "CgroupVersion": "2",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "Runtimes": {"runc": {}},
    "DefaultRuntime": "runc",
    "Architecture": "aarch64",
}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without any setting for Docker; returns the home folder."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path


@pytest.fixture
def nothing_usual(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without /var/run/docker.sock, whatever this one has."""

    def theirs(environment: DockerEnvironment) -> list[Path]:
        return [path for path in usual_sockets(environment) if bare in path.parents]

    monkeypatch.setattr(address, "usual_sockets", theirs)
    monkeypatch.setattr(detect, "usual_sockets", theirs)
    return bare


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "FIRST_ANSWER", 1)


def refusal(**settings: str) -> str:
    with pytest.raises(SandboxUnavailable) as refused:
        connect(SandboxSettings(**settings))
    return str(refused.value)


def urls(**settings: str) -> list[str]:
    return [place.url for place in candidates(SandboxSettings(**settings), DockerEnvironment())]


def write_context(home: Path, meta: str, *, current: str | None = None) -> None:
    from docker.context.config import get_context_id

    folder = home / ".docker/contexts/meta" / get_context_id("lab")
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(meta)
    (home / ".docker/config.json").write_text(json.dumps({"currentContext": current} if current else {}))


LAB = json.dumps({"Name": "lab", "Metadata": {}, "Endpoints": {"docker": {"Host": "unix:///lab.sock"}}})


class TestWhereItLooks:
    def test_the_settings_come_first_and_nothing_else_is_tried(self, bare: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
        assert urls(engine="unix:///mine.sock") == ["unix:///mine.sock"]

    def test_then_docker_host_even_where_nothing_listens(self, bare: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
        write_context(bare, LAB, current="lab")
        assert urls() == ["unix:///elsewhere.sock"]
        assert "/elsewhere.sock (named by DOCKER_HOST)" in refusal()

    def test_then_the_context_in_use(self, bare: Path) -> None:
        write_context(bare, LAB, current="lab")
        assert urls() == ["unix:///lab.sock"]
        assert "the Docker context 'lab'" in refusal()

    def test_a_context_named_by_the_environment_wins_over_the_one_in_use(self, bare: Path, monkeypatch) -> None:
        write_context(bare, LAB, current="default")
        monkeypatch.setenv("DOCKER_CONTEXT", "lab")
        assert urls() == ["unix:///lab.sock"]

    def test_a_context_that_is_gone_is_an_error_and_no_other_engine_is_taken(self, bare: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_CONTEXT", "gone")
        assert "'gone' is not there" in refusal()
        assert "docker context ls" in refusal()

    @pytest.mark.parametrize("meta", ["not JSON", "[]", "{}", '{"Name": "lab", "Endpoints": {"docker": 3}}'])
    def test_a_damaged_context_is_an_error_that_names_it(self, bare: Path, meta: str) -> None:
        write_context(bare, meta, current="lab")
        assert "Docker context" in refusal()

    def test_then_the_usual_sockets_that_exist(self, nothing_usual: Path) -> None:
        rootless, desktop = nothing_usual / "run/docker.sock", nothing_usual / ".docker/run/docker.sock"
        for path in (rootless, desktop, nothing_usual / ".colima/default/docker.sock"):
            assert str(path) not in str(urls())
            path.parent.mkdir(parents=True)
            path.touch()
        assert urls()[:2] == [f"unix://{rootless}", f"unix://{desktop}"]
        assert len(urls()) == 3

    def test_an_empty_variable_is_one_that_is_not_set(self, nothing_usual: Path, monkeypatch) -> None:
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            monkeypatch.setenv(name, "")
        assert urls() == []

    def test_certificates_that_are_missing_are_told(self, bare: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(bare / "certs"))
        said = refusal(engine="tcp://127.0.0.1:1")
        assert str(bare / "certs") in said
        assert "engine in [sandbox]" in said

    def test_certificates_that_are_there_are_used_for_tcp_and_not_for_sockets(self, bare: Path, monkeypatch) -> None:
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(bare))
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (bare / name).touch()
        (tcp,) = candidates(SandboxSettings(engine="tcp://127.0.0.1:1"), DockerEnvironment())
        (unix,) = candidates(SandboxSettings(engine="unix:///x"), DockerEnvironment())
        assert tcp.tls is not None
        assert tcp.tls.verify
        assert unix.tls is None


class TestWhatIsSaid:
    def test_no_engine_at_all(self, nothing_usual: Path) -> None:
        said = refusal()
        assert said.startswith("no Docker engine was found: ")
        assert str(nothing_usual / ".colima") in said
        assert "DOCKER_HOST" in said

    def test_a_socket_that_nobody_listens_at(self, bare: Path) -> None:
        path = bare / "dead.sock"
        with socket.socket(socket.AF_UNIX) as unheard:
            unheard.bind(str(path))
        assert refusal(engine=f"unix://{path}").startswith("the Docker engine does not answer: nobody listens at")

    def test_a_file_that_is_no_socket(self, bare: Path) -> None:
        (bare / "file").touch()
        assert "does not answer" in refusal(engine=f"unix://{bare}/file")

    def test_no_right_to_open_the_socket(self, bare: Path) -> None:
        with listening(bare / "closed.sock", None) as url:
            (bare / "closed.sock").chmod(0)
            said = _as_nobody(lambda: refusal(engine=url), bare)
        assert "you have no right to open" in said
        assert "usermod -aG docker" in said

    def test_an_engine_that_never_answers_is_given_up(self, bare: Path, impatient: None) -> None:
        with listening(bare / "mute.sock", None) as url:
            said = refusal(engine=url)
        assert said.startswith("the Docker engine does not answer: ")
        assert "imed out" in said

    @pytest.mark.parametrize(
        "answer",
        [
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"",
            http(b"hello"),
            http(b"{}"),
            http(b"[]"),
            http(b'{"ApiVersion": 3}'),
            http(b'{"ApiVersion": "0.1"}'),
            http(b'{"ApiVersion": "new"}'),
            http(b"{}", "403 Forbidden"),
            http(b"{}", "500 Internal Server Error"),
        ],
    )
    def test_what_is_no_engine_is_told_so(self, bare: Path, impatient: None, answer: bytes) -> None:
        with listening(bare / "other.sock", answer) as url:
            assert refusal(engine=url).startswith("the Docker engine ")

    @pytest.mark.parametrize("engine", ["docker.sock", "unix://", "unix://relative.sock", "http://", "ftp://host"])
    def test_an_address_that_is_none(self, bare: Path, engine: str) -> None:
        assert f"'{engine}" in refusal(engine=engine)
        assert "is no address such as unix:///var/run/docker.sock" in refusal(engine=engine)

    def test_an_impossible_port(self, bare: Path) -> None:
        assert "99999" in refusal(engine="tcp://127.0.0.1:99999")

    def test_nobody_at_a_port(self, bare: Path) -> None:
        said = refusal(engine="tcp://127.0.0.1:1")
        assert "Connection refused" in said
        assert "urllib3" not in said, "the innermost cause alone"

    def test_ssh_needs_a_package_and_the_message_names_it(self, bare: Path) -> None:
        code = (
            "import sys\nsys.modules['paramiko'] = None\n"
            "from sandbox import SandboxSettings\nfrom sandbox.docker.detect import connect\n"
            "try: connect(SandboxSettings(engine='ssh://me@build.invalid'))\nexcept Exception as error: print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert "pip install paramiko" in said

    def test_nobody_at_an_ssh_port(self, bare: Path) -> None:
        assert "Unable to connect to port 1" in refusal(engine="ssh://me@127.0.0.1:1")

    def test_an_ssh_server_that_knows_no_key_of_ours(self, bare: Path, tmp_path: Path, monkeypatch) -> None:
        ours, theirs = tmp_path / "ours", tmp_path / "theirs"
        monkeypatch.setenv("HOME", str(ours))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        with over_ssh(Path("/nowhere"), theirs) as address:
            assert "not found in known_hosts" in refusal(engine=address)
            (ours / ".ssh").mkdir(parents=True)
            (ours / ".ssh/known_hosts").write_text((theirs / ".ssh/known_hosts").read_text())
            said = refusal(engine=address)
        assert "no key" in said
        assert "by hand" in said

    def test_the_first_of_several_dead_sockets_is_told(self, nothing_usual: Path) -> None:
        for path in (nothing_usual / "run/docker.sock", nothing_usual / ".docker/run/docker.sock"):
            path.parent.mkdir(parents=True)
            path.touch()
        assert "run/docker.sock" in refusal()


class TestWhatItSays:
    def test_an_ordinary_engine(self) -> None:
        engine = engine_of("unix:///var/run/docker.sock", PLAIN, VERSION)
        assert (engine.version, engine.api_version, engine.cgroup) == ("29.1.0", "1.52", "2")
        assert (engine.architecture, engine.runtimes, engine.default_runtime) == ("aarch64", ("runc",), "runc")
        assert engine.missing_limits == ()
        assert engine.seccomp
        assert not any((engine.rootless, engine.userns_remap, engine.runsc, engine.remote, engine.apparmor))

    def test_a_rootless_engine_without_delegation_names_the_limits_it_lacks(self) -> None:
        lacking = dict.fromkeys(("MemoryLimit", "SwapLimit", "CpuCfsQuota", "PidsLimit"), False)
        info = PLAIN | lacking | {"SecurityOptions": [*PLAIN["SecurityOptions"], "name=rootless"]}
        engine = engine_of("unix:///run/user/1000/docker.sock", info, VERSION)
        assert engine.rootless
        assert engine.missing_limits == ("memory", "swap", "cpu", "pids")

    def test_user_namespaces_apparmor_and_gvisor(self) -> None:
        info = PLAIN | {
            "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=userns"],
            "Runtimes": {"runsc": {}, "runc": {}},
        }
        engine = engine_of("unix:///x", info, VERSION)
        assert engine.userns_remap
        assert engine.apparmor
        assert engine.runsc
        assert engine.runtimes == ("runc", "runsc")

    def test_a_seccomp_profile_that_allows_all_is_none(self) -> None:
        info = PLAIN | {"SecurityOptions": ["name=seccomp,profile=unconfined"]}
        assert not engine_of("unix:///x", info, VERSION).seccomp

    @pytest.mark.parametrize("info", [{}, {"SecurityOptions": None, "Runtimes": None, "CgroupVersion": None}])
    def test_what_is_left_out_counts_as_not_there(self, info: dict) -> None:
        engine = engine_of("tcp://x:2376", info, {})
        assert engine.missing_limits == ("memory", "swap", "cpu", "pids")
        assert (engine.version, engine.cgroup, engine.runtimes) == ("unknown", "1", ())
        assert engine.remote
        assert not engine.seccomp


class TestRuntimes:
    def test_auto_takes_gvisor_where_it_is_and_the_engine_s_own_elsewhere(self) -> None:
        with_it = engine_of("unix:///x", PLAIN | {"Runtimes": {"runc": {}, "runsc": {}}}, VERSION)
        assert choose_runtime(with_it, "auto") == "runsc"
        assert choose_runtime(engine_of("unix:///x", PLAIN, VERSION), "auto") is None

    def test_a_named_one_is_taken(self) -> None:
        assert choose_runtime(engine_of("unix:///x", PLAIN, VERSION), "runc") == "runc"

    def test_one_that_is_not_there_is_never_replaced_in_silence(self) -> None:
        with pytest.raises(SandboxUnavailable, match=r"no runtime 'runsc': it has runc;"):
            choose_runtime(engine_of("unix:///x", PLAIN, VERSION), "runsc")

    def test_shims_of_containerd_are_left_to_the_engine(self) -> None:
        assert choose_runtime(engine_of("unix:///x", PLAIN, VERSION), "io.containerd.runsc.v1")

    @pytest.mark.parametrize("runtime", ["", "a b", "-x", "x;y"])
    def test_a_name_that_can_be_none_is_refused_in_the_settings(self, runtime: str) -> None:
        with pytest.raises(ValueError, match="runtime"):
            SandboxSettings(runtime=runtime)


@pytest.mark.docker
class TestARealEngine:
    @pytest.fixture
    def tcp(self, docker_engine: str) -> Iterator[str]:
        with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
            yield f"tcp://127.0.0.1:{port}"

    def test_it_is_found_by_docker_host(self, docker_engine: str) -> None:
        with closing(connect(SandboxSettings(), timeout=7)) as api:
            engine = facts(api)
            assert api.timeout == 7
        assert engine.address == docker_engine
        assert not engine.remote
        assert engine.version[0].isdigit()
        assert engine.default_runtime in engine.runtimes

    def test_and_by_a_context(self, docker_engine: str, bare: Path) -> None:
        write_context(bare, LAB.replace("unix:///lab.sock", docker_engine), current="lab")
        with closing(connect(SandboxSettings())) as api:
            assert facts(api).address == docker_engine

    def test_the_next_usual_socket_is_taken_where_the_first_is_dead(
        self, docker_engine: str, nothing_usual: Path
    ) -> None:
        dead, alive = nothing_usual / "run/docker.sock", nothing_usual / ".docker/run/docker.sock"
        for path in (dead, alive):
            path.parent.mkdir(parents=True)
        dead.touch()
        alive.symlink_to(docker_engine.removeprefix("unix://"))
        with closing(connect(SandboxSettings())) as api:
            assert facts(api).address == f"unix://{alive}"

    def test_one_over_tcp_is_remote(self, tcp: str) -> None:
        with closing(connect(SandboxSettings(engine=tcp))) as api:
            engine = facts(api)
        assert engine.address == tcp
        assert engine.remote

    def test_one_that_went_away_is_told(self, docker_engine: str) -> None:
        with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
            api = connect(SandboxSettings(engine=f"tcp://127.0.0.1:{port}"))
        with closing(api), pytest.raises(SandboxUnavailable, match="does not answer: tcp://127.0.0.1"):
            facts(api)

    def test_a_container_starts_under_the_runtime_that_auto_takes(self, sandbox_image: str) -> None:
        with closing(connect(SandboxSettings())) as api:
            limits = {"network_mode": "none", "runtime": choose_runtime(facts(api), "auto")}
            box = api.create_container(sandbox_image, ["true"], host_config=api.create_host_config(**limits))["Id"]
            try:
                api.start(box)
                assert api.wait(box)["StatusCode"] == 0
            finally:
                api.remove_container(box, force=True)


def _as_nobody(act, folder: Path) -> str:
    """Do it in a child without root's rights, which no file mode stops."""
    for each in (folder, *folder.parents):
        if each.owner() == "root" and each != Path("/") and os.geteuid() == 0:
            each.chmod(each.stat().st_mode | 0o011)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, act().encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    return text
