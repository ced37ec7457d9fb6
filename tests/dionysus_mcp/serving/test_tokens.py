"""The file of tokens: what is kept, who may read it, and two who change it at once."""

import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.serving.tokens import PREFIX, TokenFile


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "folder" / "tokens.json")


def test_a_token_is_known_by_its_secret_alone(file):
    secret = file.add("laptop", tenant="acme", project="notes", read_only=True)
    assert secret.startswith(PREFIX)
    found = TokenFile(file.path).verified(secret)
    assert (found.name, found.tenant, found.project, found.read_only) == ("laptop", "acme", "notes", True)
    assert file.verified(secret.lower()) is None
    assert file.verified(found.digest) is None
    assert file.verified("\ud800") is None


def test_the_file_holds_no_secret_and_is_its_owners_alone(file):
    secret = file.add("laptop")
    assert secret.removeprefix(PREFIX) not in file.path.read_text()
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_file_that_others_can_read_is_refused(file):
    secret = file.add("laptop")
    file.path.chmod(0o644)
    with pytest.raises(MemoryStoreError, match="chmod 600"):
        TokenFile(file.path).verified(secret)


def test_an_expired_token_is_refused(file):
    now = datetime.now(UTC)
    gone = file.add("gone", expires_at=now - timedelta(seconds=1))
    good = file.add("good", expires_at=now + timedelta(hours=1))
    assert file.verified(gone) is None
    assert file.verified(good).name == "good"


def test_a_name_is_taken_once_and_free_after_it_was_revoked(file):
    first = file.add("laptop")
    with pytest.raises(MemoryStoreError, match="already"):
        file.add("laptop")
    file.revoke("laptop")
    second = file.add("laptop")
    assert file.verified(first) is None
    assert file.verified(second).name == "laptop"
    with pytest.raises(MemoryStoreError, match="there are: laptop"):
        file.revoke("nobody")


@pytest.mark.parametrize("name", ["", "a b", "-x", "x\n", "ä", "x" * 101])
def test_a_name_that_is_none_is_refused(file, name):
    with pytest.raises(MemoryStoreError, match="name"):
        file.add(name)
    assert file.tokens() == []


def test_tokens_made_at_once_are_all_there(file):
    threads = [threading.Thread(target=TokenFile(file.path).add, args=(f"t{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.tokens()) == 16


def test_a_file_that_is_no_file_of_tokens_is_named(file):
    file.add("laptop")
    for wrong in ("", "{}", '[{"name": "x"}]', "[" * 100_000):
        file.path.write_text(wrong)
        with pytest.raises(MemoryStoreError, match=r"tokens\.json"):
            TokenFile(file.path).tokens()
