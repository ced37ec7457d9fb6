"""Sessions under a real gVisor: what is different there, and what must not be. The contract runs there as well."""

from __future__ import annotations

import http.server
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import docker
import pytest

from cognition.cli.containers import runtime_check
from sandbox import (
    CodeError,
    DockerBackend,
    DockerSandbox,
    JavaScriptSandbox,
    LimitExceeded,
    SandboxSettings,
    SessionLost,
)
from sandbox.docker.detect import connect, facts
from sandbox.docker.gvisor import OWN_MEMORY, OWN_PROCESSES, named

pytestmark = pytest.mark.gvisor

MiB = 1 << 20
_TOGETHER = """\
import os, time
for _ in range(12):
    if os.fork() == 0:
        held = bytearray(24 << 20)
        time.sleep(9)
time.sleep(9)
"""


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"reached")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def api(gvisor_settings) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=gvisor_settings["engine"]))) as api:
        yield api


@pytest.fixture(scope="module")
def settings_of(gvisor_settings) -> Callable[..., SandboxSettings]:
    # To import pandas takes long there, on half a processor that others use too.
    return lambda **limits: SandboxSettings(**{"warm": 0, "step_timeout": 120, **gvisor_settings, **limits})


@pytest.fixture
def box(settings_of) -> Iterator[DockerSandbox]:
    with DockerSandbox(limits=settings_of()) as box:
        yield box


def test_code_meets_a_kernel_that_is_not_the_host_s(box):
    assert box("import os\nos.uname().release").output != os.uname().release


def test_the_engine_s_answer_tells_gvisor_and_doctor_says_so(api, gvisor_settings):
    engine, name = facts(api), gvisor_settings["runtime"]
    assert named(name, engine.programs).gvisor
    assert not named("runc", engine.programs).gvisor
    assert runtime_check(name, engine).finding.endswith("gVisor's kernel between code and host")


def test_what_gvisor_takes_itself_comes_on_top_of_the_limits(api, box, gvisor_settings):
    box("1")
    config = api.inspect_container(box.container)["HostConfig"]
    assert config["Runtime"] == gvisor_settings["runtime"]
    assert config["Memory"] == box._boxes.settings.memory + OWN_MEMORY
    assert config["PidsLimit"] == box._boxes.settings.processes + OWN_PROCESSES


@pytest.mark.parametrize("direct", [True, False])
def test_either_way_serves_steps_calls_and_files(settings_of, direct):
    with DockerSandbox(limits=settings_of(direct=direct), files={"in.txt": b"x" * 200_000}) as box:
        box.send_tools({"double": lambda number: 2 * number})
        assert box("double(len(open('in.txt').read()))").output == 400_000
        assert box("open('out.txt', 'w').write('y' * 200_000)").output == 200_000
        assert box.get_file("out.txt") == b"y" * 200_000
        assert not (box._box.direct and not direct)


def test_arrays_and_tables_cross(box):
    pandas = pytest.importorskip("pandas")
    box.send_variables({"table": pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})})
    assert box("table.a.to_numpy() + 1").output.tolist() == [2, 3]
    assert box("table[table.a > 1].b.tolist()").output == ["y"]


def test_javascript_runs_calls_tools_and_is_ended(settings_of):
    with JavaScriptSandbox(limits=settings_of(step_timeout=3)) as box:
        box.send_tools({"double": lambda number: 2 * number})
        assert box("const found = [1, 2].map(n => n * 2); await tools.double(found[1])").output == 8
        assert box("found.length").output == 2
        with pytest.raises(LimitExceeded, match="step_timeout"):
            box("while (true) {}")
        assert box("1 + 1").output == 2


def test_more_memory_than_there_is_is_an_error_of_the_code_and_its_state_is_kept(box):
    box("kept = 1")
    with pytest.raises(CodeError, match="MemoryError"):
        box("held = bytearray(2 << 30)")
    assert box("kept").output == 1


def test_memory_that_is_really_taken_costs_the_worker_and_not_the_container(box):
    box("kept = 1")
    container = box.container
    with pytest.raises(CodeError, match="MemoryError"):
        box("held = []\nwhile True: held.append(bytearray(1 << 20))")
    assert box("1 + 1").output == 2
    assert box.container == container


def test_many_threads_have_room_in_the_address_space_that_is_limited_instead_of_data(box):
    assert box("import resource\nresource.getrlimit(resource.RLIMIT_AS)[0] > 0").output
    pool = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(40) as pool:\n    "
    each = "lambda number: len(str(time.sleep(0.2)) * 1000)"
    assert box(f"import time\n{pool}total = sum(pool.map({each}, range(80)))\ntotal").output == 320_000


def test_a_session_reaches_the_names_it_was_given_and_no_other(settings_of):
    with socketserver.TCPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever).start()
        port = server.server_address[1]
        with DockerSandbox(limits=settings_of(network=(f"127.0.0.1:{port}",))) as box:
            box("from urllib.request import urlopen")
            assert box(f"urlopen('http://127.0.0.1:{port}/', timeout=9).read()").output == b"reached"
            with pytest.raises(CodeError, match="HTTPError|URLError"):
                box("urlopen('http://127.0.0.1:9/', timeout=9)")
            with pytest.raises(CodeError, match="OSError|Error"):
                box("import socket\nsocket.create_connection(('1.1.1.1', 443), timeout=3)")
        server.shutdown()


def test_memory_of_many_processes_costs_the_container_and_is_told(settings_of):
    with DockerSandbox(limits=settings_of(memory=64 * MiB)) as box:
        with pytest.raises(SessionLost, match="gone"):
            box(_TOGETHER)
        assert box("1 + 1").output == 2


def test_a_box_that_spins_is_held_to_its_share_of_the_processors(api, settings_of):
    with DockerSandbox(limits=settings_of(cpus=0.2)) as box:
        box("import time\nuntil = time.monotonic() + 2\nwhile time.monotonic() < until: pass")
        assert api.stats(box.container, stream=False)["cpu_stats"]["throttling_data"]["throttled_periods"] > 5


def test_a_box_that_is_kept_ready_serves_the_next_session(settings_of):
    with closing(DockerBackend(settings_of(warm=1))) as backend:
        with backend.open() as box:
            box("1")
        until = time.monotonic() + 30
        while not backend._pool._ready and time.monotonic() < until:
            time.sleep(0.05)
        waiting = backend._pool._ready[0].id
        with backend.open() as box:
            assert box("1 + 1").output == 2
            assert box.container == waiting
