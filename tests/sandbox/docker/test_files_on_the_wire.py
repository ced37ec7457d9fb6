"""Files and steps share one wire: neither takes what is said to the other, and a lost worker is told once."""

import json
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from sandbox import CodeError, DockerBackend, SandboxError, SandboxSettings, SessionLost
from sandbox.docker.box import Box
from sandbox.docker.channel import Channel
from sandbox.docker.guest.wire import CALL, DONE, DROPPED, FILED, LOST, PRINTED, READY, Frames, WireError, frame
from sandbox.docker.shelf import Shelf
from sandbox.errors import FileRefused
from sandbox.files import Files
from tests.sandbox.docker.patience import wait_for_news

LETS_GO_LATE = "kept = 1\nimport time\ntry:\n    final_answer(1)\nfinally:\n    time.sleep(0.3)\n    print('late')"
NEVER_LETS_GO = "kept = 1\nwhile True:\n    try:\n        final_answer(1)\n    except:\n        pass"


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=10))
    yield backend
    backend.close()


@pytest.fixture
def box(backend):
    with backend.open() as box:
        box.send_tools({"final_answer": lambda answer: answer})
        yield box


def kill_worker(backend, box, pid):
    """From outside of the step, as the kernel does that runs out of memory."""
    made = backend._api.exec_create(box.container, ["python3", "-c", f"import os; os.kill({pid}, 9)"])
    backend._api.exec_start(made["Id"])
    wait_for_news(box._box)


@pytest.mark.docker
@pytest.mark.parametrize(
    "use", [lambda box: box.list_files(), lambda box: box.put_file("b", b"2")], ids=["list", "put"]
)
@pytest.mark.parametrize("wait", [0, 0.6])
def test_a_file_is_reached_while_a_step_lets_go_of_its_final_answer(box, use, wait):
    assert box(LETS_GO_LATE).is_final_answer
    time.sleep(wait)
    use(box)
    before = time.monotonic()
    result = box("kept")
    assert (result.output, result.logs) == (1, "")
    assert time.monotonic() - before < 2  # it waited three seconds for a frame that the files had taken


@pytest.mark.docker
def test_a_worker_lost_before_a_file_was_reached_is_told_once_at_the_next_step(box):
    box.put_file("a", b"1")
    assert box(NEVER_LETS_GO).is_final_answer
    assert box.get_file("a") == b"1"
    result = box("'kept' in globals()")
    assert result.output is False
    assert result.logs.count("gone") == 1
    assert box("open('a').read()").logs == ""


@pytest.mark.docker
def test_a_worker_that_died_between_two_steps_is_told_after_a_file_was_reached(backend, box):
    kill_worker(backend, box, box("import os\nkept = 1\nos.getpid()").output)
    assert box.list_files() == []
    result = box("'kept' in globals()")
    assert result.output is False
    assert result.logs.count("gone") == 1
    assert box("2").logs == ""


@pytest.mark.docker
def test_a_worker_that_died_between_two_steps_is_told_by_the_next_step(backend, box):
    kill_worker(backend, box, box("import os\nkept = 1\nos.getpid()").output)
    with pytest.raises(SessionLost, match="gone"):
        box("x = 1")
    assert box("final_answer(2)").output == 2
    assert box("'kept' in globals()").output is False


@pytest.mark.docker
@pytest.mark.parametrize("with_file", [True, False])
@pytest.mark.parametrize("name", ["tool", "final_answer"])
def test_a_worker_that_dies_while_the_host_serves_its_call_is_told_once(backend, box, name, with_file):
    def kill(pid):
        kill_worker(backend, box, pid)
        if with_file:
            box.put_file("from the tool", b"1")
        return pid

    box.send_tools({"final_answer": lambda answer: answer, name: kill})
    box("kept = 1")
    told = []
    try:
        assert box(f"import os\n{name}(os.getpid())").is_final_answer
    except SessionLost as lost:
        told.append(str(lost))
    for _ in range(2):
        result = box("'kept' in globals()")
        assert result.output is False
        told += [result.logs] if result.logs else []
    assert len(told) == 1
    assert "gone" in told[0]
    assert box.list_files() == (["from the tool"] if with_file else [])


@pytest.mark.docker
def test_what_is_printed_before_a_tool_reaches_a_file_is_kept(box):
    box.send_tools({"fetch": lambda: box.put_file("a", b"1")})
    assert box("for n in range(300):\n    print('x' * 99)\n    fetch()").logs == ("x" * 99 + "\n") * 300


@pytest.mark.docker
def test_files_are_refused_to_another_thread_while_a_step_runs_and_the_step_goes_on(box):
    refused = []

    def from_another_thread():
        for use in (box.list_files, lambda: box.get_file("a"), lambda: box.put_file("a", b"")):
            try:
                use()
            except SandboxError as error:
                refused.append(str(error))

    def tool():
        thread = threading.Thread(target=from_another_thread)
        thread.start()
        thread.join()
        return 7

    box.send_tools({"final_answer": lambda answer: answer, "tool": tool})
    assert box("tool()").output == 7
    assert len(refused) == 3
    assert all("running code" in text and "tool" in text for text in refused)
    from_another_thread()
    assert "there is no file" not in refused[-1]
    assert box.list_files() == ["a"]


@pytest.mark.docker
def test_a_container_that_died_between_two_steps_is_told_after_a_file_was_asked_for(backend, box):
    box.put_file("a", b"1")
    box("kept = 1")
    backend._api.kill(box.container)
    with pytest.raises(SandboxError, match="can't be reached"):
        box.get_file("a")
    result = box("'kept' in globals()")
    assert (result.output, result.logs.count("gone")) == (False, 1)
    assert box.get_file("a") == b"1"


@pytest.mark.docker
def test_a_closed_sandbox_refuses_files_while_its_step_lets_go(box):
    box(LETS_GO_LATE)
    box.cleanup()
    with pytest.raises(SandboxError, match="closed"):
        box.list_files()


# What no supervisor of ours says, said by one that is not ours.


@pytest.fixture
def shelf():
    """Yield `ask`: what a shelf does with the frames that a scripted supervisor sends for its first question."""
    ours, theirs = socket.socketpair()
    aside, threads = [], []
    channel = Channel(ours, 100_000)
    limits = SandboxSettings(file_limit=1000)

    def serve(frames):
        question = Frames(100_000)
        while (asked := question.next()) is None:
            question.feed(theirs.recv(65536))
        ticket = json.loads(asked[1])["id"]
        for kind, payload in frames:
            said = frame(kind, json.dumps(payload | {"id": ticket} if payload.pop("mine", True) else payload).encode())
            theirs.sendall(b"\1\0\0\0" + len(said).to_bytes(4, "big") + said)

    def ask(use, *frames):
        threads.append(threading.Thread(target=serve, args=(frames,)))
        threads[-1].start()
        use(Shelf(Files(limits), limits, lambda *said: aside.append(said[0])), Box("x", channel, {}))
        return aside

    yield SimpleNamespace(ask=ask, aside=aside)
    for thread in threads:
        thread.join()
    channel.close()
    theirs.close()


@pytest.mark.parametrize("kind", [DONE, CALL, READY, 0, 255])
def test_a_frame_that_is_not_due_is_a_broken_wire_and_not_dropped(shelf, kind):
    with pytest.raises(WireError, match=f"kind {kind}"):
        shelf.ask(lambda shelf, box: shelf.names(box), (kind, {}), (FILED, {"names": []}))


def test_an_answer_about_another_file_is_a_broken_wire(shelf):
    with pytest.raises(WireError, match="another file"):
        shelf.ask(lambda shelf, box: shelf.names(box), (FILED, {"mine": False, "id": "0" * 16, "names": []}))


def test_output_and_losses_that_come_meanwhile_are_handed_on(shelf):
    frames = [(PRINTED, {}), (DROPPED, {}), (LOST, {}), (FILED, {"names": []})]
    assert shelf.ask(lambda shelf, box: shelf.names(box), *frames) == [PRINTED, DROPPED, LOST]


@pytest.mark.parametrize("content", [{"data": 7}, {"data": "%%"}, {"data": "\u00e9"}, {}, {"data": None}])
def test_content_that_is_no_file_is_a_broken_wire(shelf, content):
    with pytest.raises(WireError, match="content"):
        shelf.ask(lambda shelf, box: shelf.get("a", box), (FILED, {"total": 3, **content}))


@pytest.mark.parametrize("total", [None, "3", 1001, 10**30, True])
def test_a_size_that_is_none_or_too_large_is_refused(shelf, total):
    with pytest.raises(FileRefused, match="larger"):
        shelf.ask(lambda shelf, box: shelf.get("a", box), (FILED, {"data": "", "total": total}))


def test_an_error_s_text_is_bounded(shelf):
    with pytest.raises(FileRefused) as caught:
        shelf.ask(lambda shelf, box: shelf.get("a", box), (FILED, {"error": "x" * 90_000}))
    assert len(str(caught.value)) < 300


def test_names_that_no_file_could_have_are_left_out(shelf):
    names = ["good/a.txt", "../up", "/etc/passwd", 7, None, ["a"], "a\nb", "a\\b", ""]

    def look(shelf, box):
        assert shelf.names(box) == ["good/a.txt"]

    shelf.ask(look, (FILED, {"names": names}))


@pytest.mark.docker
def test_a_step_in_another_thread_is_refused_with_a_clear_error(box):
    entered, leave = threading.Event(), threading.Event()

    def tool():
        entered.set()
        return leave.wait(20)

    box.send_tools({"tool": tool})
    done = []
    thread = threading.Thread(target=lambda: done.append(box("tool()").output))
    thread.start()
    assert entered.wait(20)
    with pytest.raises(SandboxError, match="running code already; open one sandbox for each agent") as caught:
        box("1")
    assert not isinstance(caught.value, CodeError)
    leave.set()
    thread.join()
    assert done == [True]
