"""Nothing of the host is in reach, no session sees another, and nothing is left behind."""

import contextlib
import threading
from pathlib import Path

import pytest

from sandbox import BackendLost, CodeError, FileRefused
from tests.sandbox.leaks import IDLE, assert_settled, usage


def test_the_environment_of_the_host_is_not_visible(open_box, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    box = open_box()
    for code in ("import os\nstr(os.environ)", "import os\nstr(os.getenv('OPENAI_API_KEY'))"):
        with contextlib.suppress(CodeError):
            assert "sk-hidden" not in box(code).output


def test_two_sessions_never_see_each_other(make_backend):
    backend = make_backend()
    with backend.open(files={"mine.txt": b"1"}) as one, backend.open() as other:
        one("x = 1")
        one.put_file("later.txt", b"2")
        with pytest.raises(CodeError, match="NameError"):
            other("x")
        assert other.list_files() == []
        with pytest.raises(CodeError):
            other("open('later.txt').read()")
        other("x = 2")
        assert one("x").output == 1


def test_a_session_never_sees_an_earlier_one(make_backend):
    backend = make_backend(max_sessions=1)
    with backend.open() as first:
        first("secret = 'x'\nimport math")
    with backend.open() as second, pytest.raises(CodeError, match="NameError"):
        second("secret")


def test_no_more_sandboxes_run_than_the_backend_may_have(make_backend):
    backend = make_backend(max_sessions=1, open_timeout=0.3)
    with backend.open() as one:
        one("1")
        with backend.open() as other, pytest.raises(BackendLost, match="max_sessions"):
            other("1")


def test_many_sessions_in_a_row_leave_nothing_behind(make_backend, exhaustive):
    backend, many = make_backend(), 30 if exhaustive else IDLE + 3
    with backend.open() as warm:
        warm("1")
    before = usage()
    for number in range(many):
        with backend.open() as box:
            assert box(f"{number} + 1").output == number + 1
    assert_settled(before, spare=IDLE)


def test_a_session_that_was_stopped_leaves_nothing_behind(make_backend):
    backend = make_backend(step_timeout=0.2)
    with backend.open() as warm, contextlib.suppress(CodeError):
        warm("1")  # for what a backend opens once; on a busy machine it may take too long
    before = usage()
    for code in ("while True: pass", "final_answer(1)", "tool()", "raise ValueError") * 3:
        box = backend.open()
        box.send_tools(
            {"final_answer": lambda answer: answer, "tool": lambda: (_ for _ in ()).throw(KeyboardInterrupt)}
        )
        with contextlib.suppress(CodeError, KeyboardInterrupt):
            box(code)
        box.cleanup()
    assert_settled(before, spare=IDLE)


def test_a_closed_backend_leaves_nothing_behind(make_backend):
    before = usage()
    backend = make_backend()
    boxes = [backend.open() for _ in range(3)]
    for box in boxes:
        box("x = 1")
    assert usage() != before
    backend.close()
    assert_settled(before)


def test_sessions_run_side_by_side_in_threads(make_backend):
    backend, results, meeting = make_backend(), {}, threading.Barrier(8)

    def work(number):
        with backend.open() as box:
            box.send_tools({"meet": lambda: meeting.wait(30) and None, "mine": lambda: number})
            box("meet()\nx = mine()")
            results[number] = box("x * 10").output

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: number * 10 for number in range(8)}


def test_a_session_opens_another_inside_a_tool_as_a_manager_does_for_its_layers(make_backend):
    backend = make_backend()

    def layer(task):
        with backend.open() as inner:
            inner.send_variables({"task": task})
            return inner("task.upper()").output

    with backend.open() as outer:
        outer.send_tools({"layer": layer})
        assert outer("[layer('a'), layer('b')]").output == ["A", "B"]


def test_files_go_in_and_come_out(open_box):
    box = open_box(files={"notes.txt": b"one\ntwo\n", "in/raw.bin": bytes(range(256))})
    assert box("open('notes.txt').read()").output == "one\ntwo\n"
    assert box("open('in/raw.bin', 'rb').read()").output == bytes(range(256))
    box("with open('out.txt', 'w') as f:\n    f.write('h\u00e9')\n    f.write('llo')")
    assert box.get_file("out.txt").decode() == "h\u00e9llo"
    box("with open('out.txt', 'a') as f:\n    f.write('!')")
    assert box.get_file("out.txt").decode() == "h\u00e9llo!"
    box.put_file("notes.txt", b"new")
    assert box("open('notes.txt').read()").output == "new"
    assert box.list_files() == ["in/raw.bin", "notes.txt", "out.txt"]


def test_code_walks_its_files_as_usual(open_box):
    box = open_box(files={"a.txt": b"12", "sub/b.txt": b"3"})
    code = "import os\nfrom pathlib import Path\nos.makedirs('new/deep')\nPath('new/c.txt').write_text('4')\n"
    assert box(code + "sorted(os.listdir('.'))").output == ["a.txt", "new", "sub"]
    assert box("Path('a.txt').stat().st_size").output == 2
    assert box("[Path('a.txt').exists(), Path('sub').is_dir(), Path('no').exists()]").output == [True, True, False]
    box("os.rename('a.txt', 'new/a.txt')\nos.remove('sub/b.txt')")
    assert box.list_files() == ["new/a.txt", "new/c.txt"]


def test_a_missing_file_is_the_usual_error(box):
    with pytest.raises(CodeError, match="FileNotFoundError"):
        box("open('nothing.txt')")
    with pytest.raises(FileRefused, match=r"nothing\.txt"):
        box.get_file("nothing.txt")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a//b", ".", "", "a/./b", "a\\b", "a\0b", "a\nb", "x" * 300]
)
def test_a_file_name_that_is_not_plain_is_refused(box, name):
    with pytest.raises(FileRefused):
        box.put_file(name, b"x")
    assert box.list_files() == []


def test_files_are_limited_in_size(open_box):
    # In whole pages, as a container counts its files.
    box = open_box(file_limit=8192, files_limit=5 * 4096)
    with pytest.raises(FileRefused, match="8,193 bytes"):
        box.put_file("big", b"x" * 8193)
    box.put_file("a", b"x" * 8192)
    box.put_file("b", b"x" * 8192)
    with pytest.raises(FileRefused, match="no room"):
        box.put_file("c", b"x" * 4097)
    box.put_file("a", b"y" * 8192)
    with pytest.raises(CodeError, match="OSError"):
        box("with open('c', 'w') as f: f.write('x' * 8192)")
    assert sorted(box.list_files())[:2] == ["a", "b"]


def test_files_are_limited_in_number(open_box):
    box = open_box(file_limit=8192, files_limit=5 * 4096)
    with pytest.raises(CodeError, match="OSError"):
        box("for i in range(10000): open('n' + str(i), 'w')")
    assert len(box.list_files()) < 5000
    assert not Path("a").exists()
