"""The files of a sandbox, without any backend."""

import pytest

from sandbox import FileRefused, Limits
from sandbox.files import Files


def test_a_removed_or_replaced_file_gives_its_room_back():
    files = Files(Limits(files_limit=10), {"a": b"12345678"})
    files.put("a", b"1234")
    files.put("b", b"123456")
    with pytest.raises(FileRefused, match="no room"):
        files.put("c", b"1")
    files.remove("b")
    files.remove("b")
    files.put("c", b"123456")
    assert files.names() == ["a", "c"]


def test_a_refused_file_changes_nothing():
    files = Files(Limits(file_limit=3), {"a": b"123"})
    with pytest.raises(FileRefused):
        files.put("a", b"1234")
    assert files.get("a") == b"123"


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_nothing_is_a_file_and_a_folder_at_once(first, second):
    files = Files(Limits(), {first: b""})
    with pytest.raises(FileRefused, match="folder"):
        files.put(second, b"")


def test_the_content_is_a_copy():
    octets = bytearray(b"12")
    files = Files(Limits(), {"a": octets})
    octets[0] = 0
    assert files.get("a") == b"12"


def test_first_files_are_checked_too():
    with pytest.raises(FileRefused):
        Files(Limits(), {"../a": b""})


def test_text_is_refused_with_what_to_do():
    with pytest.raises(FileRefused, match="'a' is text; files are bytes, so encode it"):
        Files(Limits(), {"a": "text"})


def test_folders_exist_while_files_are_in_them():
    files = Files(Limits(), {"a/b/c": b""})
    assert files.has_folder("a")
    assert files.has_folder("a/b")
    assert not files.has_folder("a/b/c")
    files.remove("a/b/c")
    assert not files.has_folder("a")
