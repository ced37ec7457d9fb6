"""Consolidation in servers: on time, one at a time, ended at once with them; killed anywhere, nothing is lost."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dionysus_mcp.consolidation import applying
from dionysus_mcp.consolidation.lease import ConsolidationBusy, Lease
from dionysus_mcp.consolidation.schedule import Schedule
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.consolidation.conftest import Told
from tests.dionysus_mcp.memories_of import problems
from tests.dionysus_mcp.serving.conftest import INITIALIZE
from tests.support.clock import ManualClock

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


def eventually(true, seconds=PATIENCE):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return False


def alike(told, count):
    told.tell_all([f"Tea number {number} is good{mark}" for number in range(count) for mark in ("", ".")])


@contextlib.contextmanager
def scheduled(stores, records, interval=60):
    """A schedule whose intervals pass when `passing` says so: `passing(many)` returns once so many were looked at."""
    clock, looked = ManualClock(), []

    def counted():
        looked.append(clock())
        return stores()

    def passing(many):
        # One more than was asked for: when that begins, those before it have ended.
        until = len(looked) + many + 1

        def enough():
            clock.advance(interval)
            return len(looked) >= until

        assert eventually(enough)

    schedule = Schedule(counted, ConsolidationSettings(interval=interval), records.append, wait=clock.wait)
    schedule.start()
    try:
        yield passing
    finally:
        schedule.close()


class TestThread:
    def test_it_consolidates_what_was_stored_and_records_it(self, by_words):
        alike(by_words, 3)
        records = []
        with scheduled(lambda: [by_words.store], records) as passing:
            passing(1)
            assert len(by_words.current()) == 3
        assert records[0]["done"] == {"supersede": 3}
        assert (records[0]["outcome"], records[0]["tenant"], records[0]["project"]) == ("ok", "local", "default")
        assert "Tea" not in json.dumps(records)

    def test_where_nothing_was_stored_since_it_does_nothing(self, by_words):
        alike(by_words, 1)
        schedule = Schedule(list, ConsolidationSettings(interval=1))
        while schedule.once(by_words.store):
            pass
        before = len(by_words.consolidation.runs())
        assert schedule.once(by_words.store) is False
        assert len(by_words.consolidation.runs()) == before

    def test_while_another_server_does_it_this_one_waits(self, words_only, by_words):
        alike(by_words, 1)
        with contextlib.closing(Told(words_only)) as other, Lease(other.store):
            records = []
            with scheduled(lambda: [by_words.store], records) as passing:
                passing(3)
            assert (records, len(by_words.current())) == ([], 2)

    def test_a_store_that_cannot_be_had_is_recorded_and_tried_again(self, by_words):
        alike(by_words, 1)
        tries, records = [], []

        def stores():
            tries.append(1)
            if len(tries) == 1:
                raise MemoryStoreError("The disk is full.")
            return [by_words.store]

        with scheduled(stores, records) as passing:
            passing(2)
        assert len(by_words.current()) == 1
        assert records[0] == {"event": "consolidation", "outcome": "failed", "error": "The disk is full."}

    def test_closing_ends_a_run_between_two_transactions(self, by_words, monkeypatch):
        monkeypatch.setattr("dionysus_mcp.consolidation.applying.AT_ONCE", 1)
        alike(by_words, 200)
        schedule = Schedule(lambda: [by_words.store], ConsolidationSettings(interval=0.05))
        some, begun = applying._some, threading.Event()

        def some_and_wait(doing, actions):
            # The second waits until the end is asked for: on a busy machine all might be done before.
            if begun.is_set():
                schedule._stop.wait(PATIENCE)
            begun.set()
            return some(doing, actions)

        monkeypatch.setattr(applying, "_some", some_and_wait)
        schedule.start()
        assert begun.wait(PATIENCE)
        schedule.close()
        assert not schedule._thread.is_alive()
        left = len(by_words.current())
        assert 200 < left < 400
        [run] = by_words.consolidation.runs()
        assert run.status == "interrupted"
        with Lease(by_words.store):
            pass  # it was given back
        by_words.consolidation.undo(run.id)
        assert len(by_words.current()) == 400

    def test_each_scope_is_consolidated_on_its_own(self, words_only, by_words):
        with contextlib.closing(Told(words_only.model_copy(update={"project": "other"}))) as other:
            alike(by_words, 1)
            alike(other, 2)
            with scheduled(lambda: [by_words.store, other.store], []) as passing:
                passing(1)
                assert (len(by_words.current()), len(other.current())) == (1, 2)


class TestServers:
    """Servers as their users start them."""

    def environment(self, path, home, **more):
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "DIONYSUS_HOME": str(home),
            "DIONYSUS_MEMORY__URL": f"sqlite:///{path}",
            "DIONYSUS_MEMORY__EMBEDDER": "none",
            "DIONYSUS_TRACE__PATH": f"{home}/trace.db",
            "DIONYSUS_CONSOLIDATION__INTERVAL": "0.2",
            **more,
        }

    def started(self, told, tmp_path, **more):
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "dionysus_mcp.server"],
            env=self.environment(told.store.path, tmp_path, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def answered(self, server):
        """Wait until a server answers: from then on it ends in order when it is told to."""
        server.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        server.stdin.flush()
        assert "result" in json.loads(server.stdout.readline())

    def test_two_on_one_file_do_it_once_and_end_at_once(self, by_words, tmp_path):
        alike(by_words, 40)
        audit = tmp_path / "audit.jsonl"
        servers = [
            self.started(by_words, tmp_path, DIONYSUS_SERVER__AUDIT=str(audit)),
            self.started(by_words, tmp_path),
        ]
        try:
            for server in servers:
                self.answered(server)
            assert eventually(lambda: len(by_words.current()) == 40)
            by_words.tell_all(["Coffee is good", "Coffee is good."])
            assert eventually(lambda: len(by_words.current()) == 41)  # an interval later, nothing was done again
            for server in servers:
                server.send_signal(signal.SIGTERM)
            for server in servers:
                _, said = server.communicate(timeout=PATIENCE)
                assert (server.returncode, said) == (0, b"")
        finally:
            for server in servers:
                server.kill()
                server.communicate()
        assert sum(run.done.get("supersede", 0) for run in by_words.consolidation.runs()) == 41
        for line in audit.read_text().splitlines() if audit.exists() else ():
            assert json.loads(line)["event"] == "consolidation"

    def test_a_read_only_server_consolidates_nothing(self, by_words, tmp_path):
        alike(by_words, 1)
        server = self.started(by_words, tmp_path, DIONYSUS_SERVER__READ_ONLY="true")
        try:
            self.answered(server)
            audit = tmp_path / "audit.jsonl"
            # Many intervals pass until another server is there, and that one finds it undone.
            writing = self.started(by_words, tmp_path, DIONYSUS_SERVER__AUDIT=str(audit))
            try:
                assert eventually(lambda: audit.exists() and audit.read_text())
            finally:
                writing.kill()
                writing.communicate()
            assert server.poll() is None
            assert json.loads(audit.read_text())["done"] == {"supersede": 1}
        finally:
            server.kill()
            server.communicate()

    def test_a_wrong_setting_is_named(self, by_words, tmp_path):
        server = self.started(by_words, tmp_path, DIONYSUS_CONSOLIDATION__INTERVAL="often")
        _, said = server.communicate(timeout=PATIENCE)
        assert server.returncode == 1
        assert b"DIONYSUS_CONSOLIDATION__*) are wrong: interval" in said


KILLED = """
import sys
from dionysus_mcp.consolidation import applying
from dionysus_mcp.consolidation.consolidation import Consolidation
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
applying.AT_ONCE = 5
consolidation = Consolidation(Store(MemorySettings(url=sys.argv[1], embedder="none")))
if len(sys.argv) > 2:
    import dionysus_mcp.consolidation.undoing as undoing
    undoing._AT_ONCE = 5
    consolidation.undo(sys.argv[2])
else:
    consolidation.run()
"""


def kill_when(true, *arguments):
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=ROOT)
    try:
        assert eventually(lambda: true() or process.poll() is not None)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("after", [0, 40])
def test_killed_in_the_middle_nothing_is_lost_and_it_goes_on_or_is_undone(by_words, after):
    alike(by_words, 150)
    before = by_words.state()
    kill_when(lambda: len(by_words.current()) < 300 - after, by_words.settings.url)
    done = 300 - len(by_words.current())
    contents = {content.rstrip(".") for content in by_words.current()}
    assert contents == {f"Tea number {number} is good" for number in range(150)}, "every fact is there"
    [run] = by_words.consolidation.runs()
    assert sum(run.done.values()) == done, "what was done is in the log"
    assert problems(by_words.store) == {}
    # Its lease ends by itself; nobody waits a minute in a test.
    free(by_words.store)
    _, second = by_words.consolidation.run()
    assert second.done.get("supersede", 0) == 150 - done
    assert len(by_words.current()) == 150
    for one in (second, run):
        by_words.consolidation.undo(one.id)
    assert by_words.state() == before


def test_killed_while_it_undoes_the_rest_is_undone_by_the_next(by_words):
    alike(by_words, 150)
    before = by_words.state()
    run = by_words.apply()
    kill_when(lambda: len(by_words.current()) > 170, by_words.settings.url, run.id)
    free(by_words.store)
    by_words.consolidation.undo(run.id)
    assert by_words.state() == before
    assert problems(by_words.store) == {}


def free(store: Store) -> None:
    """Let go of the lease of a process that was killed."""
    from sqlalchemy import delete

    from dionysus_mcp.consolidation.tables import lease as table

    store.write(lambda connection: connection.execute(delete(table)))


def test_many_who_consolidate_at_once_do_each_thing_once(words_only, by_words):
    alike(by_words, 60)
    stores = [Told(words_only) for _ in range(4)]
    refused = []

    def work(told):
        try:
            told.consolidation.run()
        except ConsolidationBusy as error:
            refused.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()
    assert sum(run.done.get("supersede", 0) for run in by_words.consolidation.runs()) == 60
    assert len(by_words.current()) == 60
