"""The promises of the recorder: nothing raises, nothing blocks, what is promised survives, what is lost is counted."""

import logging
import sqlite3
import stat
import threading
import time

import pytest

from observability import Kind, Telemetry, TraceSettings, span
from observability.owner import Owner
from observability.records import SpanRecord, Status
from observability.rows import interrupt
from observability.schema import open_to_write
from observability.writer import LocalWriter
from tests.observability.programs import rows, run_script


def test_a_span_is_in_the_store_while_it_still_runs(telemetry, store_path):
    with span(telemetry.tracer, Kind.RUN, "run"):
        telemetry.flush()
        assert rows(store_path) == [("run", "running")]
    telemetry.flush()
    assert rows(store_path) == [("run", "ok")]


def test_an_error_is_told_with_its_message_but_without_its_secrets(start_telemetry, store_path, open_store):
    telemetry = start_telemetry(secrets=["hunter2-hunter2"])
    with pytest.raises(ValueError, match="hunter2"), span(telemetry.tracer, Kind.RUN, "run"):
        raise ValueError("login failed with hunter2-hunter2 and sk-ant-0123456789abcdefghij")
    telemetry.flush()
    (run,) = open_store().runs()
    assert run.status is Status.ERROR
    assert run.message == "ValueError: login failed with [redacted] and [redacted]"
    assert run.losses.redacted >= 4
    assert b"hunter2" not in store_path.read_bytes()
    assert b"0123456789abcdefghij" not in store_path.with_name("trace.db-wal").read_bytes()


def test_environment_secrets_never_reach_the_file(monkeypatch, start_telemetry, store_path):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "plain-looking-value")
    telemetry = start_telemetry()
    with span(telemetry.tracer, Kind.TOOL, "execute_tool x", {"tool.parameters": '{"auth": "plain-looking-value"}'}):
        pass
    telemetry.shutdown()
    assert "plain-looking-value" not in store_path.read_bytes().decode(errors="ignore")


def test_the_file_and_its_folder_are_private(telemetry, store_path):
    telemetry.flush()
    assert stat.S_IMODE(store_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store_path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(store_path.with_name("trace.db-wal").stat().st_mode) == 0o600


def test_a_prompt_is_stored_once_whatever_spans_repeat_it(telemetry, store_path):
    prompt = "You are the perceptual layer. " * 40
    for _ in range(5):
        with span(telemetry.tracer, Kind.CHAT, "chat", {"llm.input_messages.0.message.content": prompt}):
            pass
    telemetry.flush()
    assert rows(store_path, "SELECT text FROM content") == [(prompt,)]


def test_limits_hold_for_a_value_and_for_a_span(start_telemetry, open_store):
    telemetry = start_telemetry()
    with span(telemetry.tracer, Kind.RUN, "run", {"input.value": "x" * 20_000, "dionysus.run.id": "r"}):
        for number in range(20):
            said = {f"llm.input_messages.{n}.content": f"{number}" + "y" * 8000 for n in range(20)}
            with span(telemetry.tracer, Kind.CHAT, "chat", said):
                pass
    telemetry.flush()
    store = open_store()
    trace = store.run("r")
    task = trace.root.attributes["input.value"]
    assert len(store.content(task.hash)) <= 8192
    for chat in trace.root.children:
        assert sum(len(str(store.content(v.hash))) for v in chat.attributes.values() if hasattr(v, "hash")) <= 65536
    assert trace.summary.losses.truncated > 20


# Promise: what a dying process loses (how much of the last moment: tests/promises/test_traces.py)


def test_a_crash_leaves_interrupted_rows_and_a_living_process_running_ones(store_path, open_store, telemetry):
    crashed = run_script(
        """
        opened = span(tracer, Kind.RUN, "crashed")
        opened.__enter__()
        telemetry.flush()
        os._exit(9)
        """,
        store_path,
    )
    assert crashed.returncode == 9
    with span(telemetry.tracer, Kind.RUN, "alive"):
        telemetry.flush()
        found = {run.name: run.status for run in open_store().runs()}
    assert found == {"crashed": Status.INTERRUPTED, "alive": Status.RUNNING}


def test_an_owner_is_gone_when_its_pid_belongs_to_another_process_now():
    here = Owner.here()
    assert not here.gone(here)
    assert Owner(here.id, here.host, here.boot, here.namespace, here.pid, "0").gone(here)
    assert Owner(here.id, here.host, "earlier boot", here.namespace, here.pid, here.started).gone(here)
    assert not Owner(here.id, "elsewhere", "", "", 1, "0").gone(here)
    assert not Owner(here.id, here.host, here.boot, "another container", 1, "0").gone(here)


def test_a_span_that_ends_after_all_is_no_longer_interrupted(telemetry, store_path):
    with span(telemetry.tracer, Kind.RUN, "run"):
        telemetry.flush()
        connection = sqlite3.connect(store_path, isolation_level=None)
        connection.execute("UPDATE process SET started = 'never'")
        assert interrupt(connection, Owner.here()) == 1
        connection.close()
        assert rows(store_path) == [("run", "interrupted")]
    telemetry.flush()
    assert rows(store_path) == [("run", "ok")]


def test_what_is_still_open_at_shutdown_is_interrupted(start_telemetry, store_path):
    telemetry = start_telemetry()
    with span(telemetry.tracer, Kind.RUN, "run"):
        telemetry.shutdown()
        assert rows(store_path) == [("run", "interrupted")]
    assert rows(store_path) == [("run", "interrupted")]


def test_a_normal_exit_writes_everything(store_path):
    done = run_script(
        """
        with span(tracer, Kind.RUN, "run"):
            for n in range(3000):
                with span(tracer, Kind.STEP, f"step {n}"):
                    pass
        """,
        store_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(store_path, "SELECT count(*), sum(status = 'ok') FROM span") == [(3001, 3001)]
    assert not store_path.with_name("trace.db-wal").exists()


def test_a_forked_child_records_nothing_and_harms_nothing(store_path):
    done = run_script(
        """
        with span(tracer, Kind.RUN, "run"):
            child = os.fork()
            if child == 0:
                with span(tracer, Kind.STEP, "in the child"):
                    pass
                telemetry.flush()
                telemetry.shutdown()
                os._exit(0)
            os.waitpid(child, 0)
        """,
        store_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(store_path) == [("run", "ok")]


def test_two_processes_write_one_file_at_once(store_path):
    body = """
        with span(tracer, Kind.RUN, "run"):
            for n in range(500):
                with span(tracer, Kind.STEP, f"step {n}"):
                    time.sleep(0.0005)
    """
    children = [run_script(body, store_path, wait=False) for _ in range(3)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert (child.returncode, errors) == (0, "")
    assert rows(store_path, "SELECT count(*), sum(status = 'ok') FROM span") == [(1503, 1503)]
    assert rows(store_path, "SELECT count(*) FROM process WHERE closed_ns IS NOT NULL") == [(3,)]


# Promise: under pressure


def test_a_full_queue_gives_up_content_then_leaves_but_never_runs_layers_and_errors(start_telemetry, open_store):
    """Another process holds the file, so that nothing leaves the queue meanwhile."""
    telemetry = start_telemetry(queue_limit=100)
    telemetry.flush()
    blocker = sqlite3.connect(open_store().path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "r"}):
            until(telemetry._writer._queue.empty)  # what the writer took waits for the file
            for number in range(200):
                with span(telemetry.tracer, Kind.TOOL, f"execute_tool {number}", {"input.value": "said"}):
                    pass
            with span(telemetry.tracer, Kind.LAYER, "invoke_agent late", {"dionysus.layer": "late"}):
                pass
            with pytest.raises(ValueError, match="late"), span(telemetry.tracer, Kind.TOOL, "execute_tool failed"):
                raise ValueError("late")
            assert not telemetry.flush(0), "the file is locked still, and nobody waited for it"
    finally:
        blocker.execute("ROLLBACK")
        blocker.close()
    assert telemetry.flush(10)
    trace = open_store().run("r")
    found = [node.name for node in trace.root.children]
    assert {"invoke_agent late", "execute_tool failed"} <= set(found)
    assert len(found) < 100
    assert trace.summary.losses.dropped > 0
    assert trace.summary.losses.shed > 0
    first = next(node for node in trace.root.children if node.name == "execute_tool 0")
    assert first.attributes["input.value"] == "said"


def test_one_record_that_cannot_be_written_costs_only_itself(telemetry, store_path, open_store, caplog):
    with span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "r"}):
        with span(telemetry.tracer, Kind.CHAT, "chat", {"gen_ai.usage.input_tokens": 2**80}):
            pass
        with span(telemetry.tracer, Kind.CHAT, "chat", {"gen_ai.usage.input_tokens": 7}):
            pass
    assert telemetry.flush(10)
    run = open_store().runs()[0]
    assert run.cost.input_tokens == 7
    assert run.losses.dropped == 1
    assert "takes no spans" in caplog.text


def test_a_full_disk_costs_nothing_once_there_is_room_again(store_path):
    """SQLite's own page limit stands in for the disk: it fails with the same code, SQLITE_FULL."""
    connection = open_to_write(store_path)
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")
    writer = LocalWriter(connection, "test", limit=1000)
    writer.put(a_record("x" * 8000))
    assert not writer.flush(0.3)
    connection.execute("PRAGMA max_page_count = 100000")
    assert writer.flush(10)
    assert writer.shutdown(10)
    assert rows(store_path) == [("step", "ok")]


def a_record(text):
    facts = {"attributes": {"input.value": text}, "events": [], "message": None, "status": Status.OK}
    times = {"start_ns": 1, "end_ns": 2}
    names = {"name": "step", "kind": Kind.STEP, "otel_kind": "INTERNAL", "scope": "test"}
    return SpanRecord(trace_id="t", span_id="s", parent_id=None, **names, **times, **facts)


def until(true, seconds=60):
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


# Promise: tracing never raises into a run


def test_a_file_that_is_not_ours_is_left_alone_and_tracing_goes_off(tmp_path, caplog):
    for name, make in {
        "text.db": lambda path: path.write_text("hello " * 400),
        "other.db": make_other_database,
    }.items():
        path = tmp_path / name
        make(path)
        before = path.read_bytes()
        with Telemetry(TraceSettings(path=path), service="test") as telemetry:
            with span(telemetry.tracer, Kind.RUN, "run"):
                pass
            assert telemetry.flush()
        assert path.read_bytes() == before
        assert f"nothing is traced: {path}" in caplog.text
    assert "set another [trace] path" in caplog.text


def make_other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (name TEXT)")
    connection.commit()
    connection.close()


def test_a_newer_store_is_left_alone_and_tracing_goes_off(store_path, caplog):
    connection = open_to_write(store_path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with (
        Telemetry(TraceSettings(path=store_path), service="test") as telemetry,
        span(telemetry.tracer, Kind.RUN, "run"),
    ):
        pass
    assert "newer Dionysus (trace version 99" in caplog.text
    assert rows(store_path, "SELECT count(*) FROM span") == [(0,)]


def test_a_place_that_cannot_be_written_turns_tracing_off(tmp_path, caplog):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    settings = TraceSettings(path=blocked / "trace.db")
    with Telemetry(settings, service="test") as telemetry, span(telemetry.tracer, Kind.RUN, "run"):
        pass
    assert "can't be opened for writing" in caplog.text


def test_a_store_that_vanishes_under_the_writer_does_not_reach_the_run(telemetry, store_path, caplog):
    telemetry.flush()
    connection = sqlite3.connect(store_path)
    connection.execute("DROP TABLE span")
    connection.commit()
    connection.close()
    with span(telemetry.tracer, Kind.RUN, "run"):
        pass
    telemetry.flush(10)
    assert "takes no spans" in caplog.text


def test_an_error_inside_the_recorder_does_not_reach_the_run(telemetry, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("observability.content.Cleaning.attributes", fail)
    with caplog.at_level(logging.WARNING), span(telemetry.tracer, Kind.RUN, "run"):
        pass
    assert "is missing from the trace" in caplog.text


def test_threads_may_write_together(telemetry, store_path):
    def work(number):
        for n in range(100):
            with span(telemetry.tracer, Kind.STEP, f"{number} {n}"):
                pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert telemetry.flush(10)
    assert rows(store_path, "SELECT count(*), sum(status = 'ok') FROM span") == [(400, 400)]


def test_shutdown_ends_the_thread_and_may_be_called_twice(store_path):
    writer = LocalWriter(open_to_write(store_path), "test", limit=100)
    assert writer.shutdown(10)
    assert writer.shutdown(10)
    assert not writer.flush(0.1)
    writer._thread.join(60)
    assert not writer._thread.is_alive()
