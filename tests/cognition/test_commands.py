"""Each command, some of them as a process: what it does, what it says to bad input, its exit code and its JSON."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cognition.command_line import Command, Thought, environment
from tests.cognition.conftest import QUESTION


class TestThink:
    def test_an_answer_comes_with_quotes_layers_costs_and_the_way_to_its_trace(self, remembered: Command) -> None:
        ended = remembered("think", QUESTION)
        assert ended.code == 0, ended
        assert "RabbitMQ" in ended.out
        assert "queue.md" in ended.out
        assert "offline tier answers" in ended.err
        assert "perceptual begins" in ended.err  # without a terminal, steps are told in plain lines
        assert "perceptual 1/3:" in ended.err
        assert "\x1b" not in ended.err
        for heading in ("layer", "steps", "model calls", "tokens", "cost"):
            assert heading in ended.out
        assert "perceptual" in ended.out
        shown = ended.out.rpartition("Trace: dionysus ")[2].split()
        assert remembered(*shown).code == 0

    def test_json_is_one_document_on_stdout(self, thought: Thought) -> None:
        said = thought.outcome.json
        assert (thought.outcome.code, said["stop_reason"], said["success"]) == (0, "answered", True)
        assert "RabbitMQ" in said["answer"]
        assert said["evidence"][0]["quote"]
        assert said["session"] == "queues"
        assert said["steps"]["perceptual"] >= 1
        assert said["cost_usd"] == 0.0

    def test_quiet_leaves_the_result_alone_and_a_task_may_come_from_standard_input(self, remembered: Command) -> None:
        (remembered.folder / "plan.txt").write_text("Buy tea.")
        ended = remembered("think", "-", "--quiet", "--file", "plan.txt", stdin=QUESTION)
        assert ended.err == ""
        assert "RabbitMQ" in ended.out
        assert "model calls" not in ended.out

    def test_what_memory_does_not_hold_ends_with_the_code_of_abstention(self, remembered: Command) -> None:
        ended = remembered.apart("think", "What is the melting point of tungsten?", "--json")
        assert (ended.code, ended.json.get("stop_reason")) == (3, "abstained"), ended.json

    def test_an_option_changes_a_layer(self, remembered: Command) -> None:
        ended = remembered("think", QUESTION, "--json", "--layer", "perceptual.enabled=false")
        assert "perceptual" not in ended.json["usage"]

    def test_used_up_steps_end_it_with_the_partial_answer_and_their_code(self, remembered: Command) -> None:
        ended = remembered("think", QUESTION, "--steps", "3")
        assert ended.code == 4
        assert "What was found until then" in ended.err
        assert "--steps" in ended.err

    def test_a_deadline_ends_it_with_the_same_code_and_the_partial_in_json(self, remembered: Command) -> None:
        ended = remembered("think", QUESTION, "--deadline", "0.01", "--json")
        assert ended.code == 4
        assert ended.json["error"]["exit_code"] == 4
        assert ended.json["partial"]["stop_reason"] == "deadline"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["think"], "Missing argument 'TASK'"),
            (["think", "  "], "say what to think about"),
            (["think", "x", "--steps", "0"], "--steps"),
            (["think", "x", "--budget-usd", "0"], "0 is not above 0"),
            (["think", "x", "--deadline", "-1"], "deadline must lie in the future"),
            (["think", "x", "--layer", "abstract"], "is not NAME.KEY=VALUE"),
            (["think", "x", "--layer", "abstract.max_stps=3"], "did you mean 'max_steps'?"),
            (["think", "x", "--layer", "abstract.team=['perceptul']"], "did you mean 'perceptual'?"),
            (["think", "x", "--layer", "abstract.tools=['recal']"], "recall"),
            (["think", "x", "--tier", "ofline"], "did you mean 'offline'?"),
            (["think", "x", "--sandbox", "dokcer"], "did you mean 'docker'?"),
            (["think", "x", "--config", "nowhere.toml"], "no settings file 'nowhere.toml'"),
            (["think", "x", "--file", "nowhere.txt"], "nowhere.txt"),
            (["thnk", "x"], "Did you mean 'think'?"),
            (["think", "x", "--jsn"], "No such option: --jsn"),
        ],
    )
    def test_wrong_usage_ends_with_code_2_and_says_what_to_do(
        self, command: Command, arguments: list[str], said: str
    ) -> None:
        ended = command(*arguments)
        assert ended.code == 2, ended
        assert said in ended.err
        assert ended.out == ""

    def test_wrong_usage_is_json_too_where_json_was_asked_for(self, command: Command) -> None:
        ended = command.apart("think", "x", "--tier", "ofline", "--json")
        assert ended.code == 2
        assert "did you mean 'offline'?" in ended.json["error"]["message"]
        assert command("think", "--json").json["error"]["exit_code"] == 2

    def test_a_database_that_is_not_ours_is_left_alone(self, command: Command) -> None:
        with sqlite3.connect(command.folder / "other.db") as other:
            other.execute("CREATE TABLE customers (name TEXT)")
        other.close()
        before = (command.folder / "other.db").read_bytes()
        ended = command("think", QUESTION, "--memory", "sqlite:///other.db")
        assert ended.code == 6, ended
        assert "other.db" in ended.err
        assert (command.folder / "other.db").read_bytes() == before

    def test_a_store_of_another_kind_is_refused_by_name(self, command: Command) -> None:
        ended = command.apart("think", QUESTION, env={"DATABASE_URL": "mysql://host/db"})
        assert ended.code == 6
        assert "mysql" in ended.err

    def test_debug_shows_the_traceback(self, command: Command) -> None:
        assert "Traceback" in command.apart("think", "x", "--tier", "ofline", "--debug").err


class TestChat:
    def test_turns_from_a_pipe_are_answered_in_one_session(self, remembered: Command) -> None:
        ended = remembered.apart(
            "chat", "--json", "--session", "s1", stdin=f"{QUESTION}\n\nWho decided it?\n/exit\nnever\n"
        )
        turns = [json.loads(line) for line in ended.out.splitlines()]
        assert [turn["task"] for turn in turns] == [QUESTION, "Who decided it?"]
        assert {turn["session"] for turn in turns} == {"s1"}

    def test_a_turn_that_fails_does_not_end_the_conversation(self, remembered: Command) -> None:
        ended = remembered("chat", "--json", "--steps", "2", stdin=f"{QUESTION}\n{QUESTION}\n")
        turns = [json.loads(line) for line in ended.out.splitlines()]
        assert [turn["error"]["kind"] for turn in turns] == ["BudgetExceeded"] * 2
        assert ended.code == 4

    def test_wrong_settings_end_it_before_the_first_turn(self, command: Command) -> None:
        command.settings("[memory]\nulr = 1")
        ended = command("chat", stdin="x\n")
        assert ended.code == 2
        assert "dionysus.toml:2" in ended.err


class TestRemember:
    def test_files_are_taken_in_once(self, command: Command) -> None:
        (command.folder / "a.md").write_text("# Tea\n\nAda likes green tea.\n")
        first, second = command("remember", "a.md", "--json").json, command("remember", "a.md", "--json").json
        assert first["added"] >= 1
        assert (second["added"], second["unchanged"]) == (0, first["added"])

    def test_a_changed_file_supersedes_its_old_pieces(self, command: Command) -> None:
        note = command.folder / "a.md"
        note.write_text("# Tea\n\nAda likes green tea.\n")
        command("remember", "a.md")
        note.write_text("# Tea\n\nAda likes black tea.\n")
        assert command("remember", "a.md", "--json").json["superseded"] >= 1

    def test_commit_messages_are_taken_in(self, command: Command) -> None:
        for args in (
            ["init", "-q"],
            ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Add tea", "--allow-empty"],
        ):
            subprocess.run(["git", *args], cwd=command.folder, check=True, env=environment(command.home))
        assert command("remember", "--git", ".", "--json").json["added"] == 1

    def test_a_file_that_is_not_text_is_skipped_and_named(self, command: Command) -> None:
        (command.folder / "a.bin").write_bytes(b"\x00\x01" * 100)
        (command.folder / "b.md").write_text("Tea is served at four.\n")
        ended = command("remember", "a.bin", "b.md")
        assert ended.code == 1, "it was named, and was not read"
        assert "Skipped" in ended.err
        assert "a.bin" in ended.err
        assert command("recall", "tea").code == 0, "the other one was"
        assert command("remember", ".").code == 0, "a folder may hold what is no text"

    def test_a_path_that_is_not_there_is_wrong_usage(self, command: Command) -> None:
        ended = command("remember", "nowhere/")
        assert ended.code == 2
        assert "there is no file or folder nowhere" in ended.err
        assert not (command.home / "memory.db").exists()

    def test_a_folder_without_a_repository_has_no_history(self, command: Command) -> None:
        ended = command("remember", "--git", ".")
        assert ended.code == 6
        assert "repository" in ended.err


class TestRecall:
    def test_memories_are_found_with_their_source(self, remembered: Command) -> None:
        ended = remembered("recall", "which queue do we use")
        assert ended.code == 0
        assert "RabbitMQ" in ended.out
        assert "queue.md" in ended.out

    def test_json_has_the_hits(self, remembered: Command) -> None:
        found = remembered("recall", "who decided on the queue", "--top", "1", "--json").json
        assert len(found["hits"]) == 1
        assert "Mara" in found["hits"][0]["content"]

    def test_an_empty_memory_says_how_to_fill_it(self, command: Command) -> None:
        ended = command("recall", "anything")
        assert ended.code == 3
        assert "dionysus remember" in ended.out

    def test_no_more_than_a_hundred_are_given(self, command: Command) -> None:
        assert command("recall", "x", "--top", "101").code == 2


class TestTrace:
    def test_a_run_is_listed_and_shown_as_a_tree(self, thought: Thought) -> None:
        command, run = thought.command, thought.outcome.json["run_id"]
        listed = command("trace", "ls")
        assert run[:12] in listed.out
        assert QUESTION in listed.out
        tree = command("trace", "show").out
        for name in ("invoke_workflow", "invoke_agent perceptual", "step 1", "chat ", "execute_code", "search_memory"):
            assert name in tree
        assert "├──" in tree
        assert "RabbitMQ" in command("trace", "show", run[:8], "--said").out

    def test_json_holds_the_whole_tree(self, thought: Thought) -> None:
        command, run = thought.command, thought.outcome.json["run_id"]
        assert [each["run_id"] for each in command("trace", "ls", "--json").json] == [run]
        shown = command("trace", "show", "last", "--json").json
        assert shown["run_id"] == run
        assert shown["root"]["children"]
        assert {use["layer"] for use in shown["layer_use"]} >= {"perceptual", "consciousness"}

    def test_a_run_that_is_not_there_is_an_error_that_names_the_nearest(self, thought: Thought) -> None:
        ended = thought.command("trace", "show", "zzzz")
        assert ended.code == 1
        assert thought.outcome.json["run_id"] in ended.err

    def test_without_any_run_it_says_how_to_make_one(self, command: Command) -> None:
        assert command("trace", "ls", "--json").json == []
        ended = command("trace", "show")
        assert ended.code == 1
        assert "think" in ended.err

    def test_a_file_that_is_no_trace_store_is_an_error(self, command: Command) -> None:
        (command.folder / "other.db").write_text("something else " * 100)
        ended = command("trace", "ls", env={"DIONYSUS_TRACE__PATH": "other.db"})
        assert ended.code == 1
        assert "other.db" in ended.err

    def test_a_reader_that_goes_away_is_no_accident(self, thought: Thought) -> None:
        process = thought.command.start("trace", "show", "--json")
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() in (0, 1)
        process.stderr.close()
        assert said == ""


class TestLayers:
    def test_layers_and_tiers_are_shown_as_configured(self, command: Command) -> None:
        command.settings("""
            [layers.legal]
            call_as = "counsel"
            tier = "local"
            max_steps = 4
            [layers.abstract]
            enabled = false
            [tiers.local]
            models = ["openai/qwen"]
            api_base = "http://localhost:1234/v1"
        """)
        shown = command("layers").out
        assert "counsel" in shown
        assert "openai/qwen" in shown
        assert "abstraction" not in shown
        assert "dionysus.toml" in shown
        document = command("layers", "--json").json
        assert {layer["name"]: layer["max_steps"] for layer in document["layers"]}["legal"] == 4
        assert {tier["tier"] for tier in document["tiers"]} == {"fast", "balanced", "deep", "local", "offline"}

    def test_the_manager_can_not_be_removed(self, command: Command) -> None:
        ended = command("layers", "--layer", "consciousness.enabled=false")
        assert ended.code == 2
        assert "can't be removed" in ended.err


class TestDoctor:
    def test_all_parts_are_looked_at(self, remembered: Command) -> None:
        ended = remembered("doctor", "--sandbox", "monty", "--json", env={"OPENAI_API_KEY": "sk-not-to-be-shown"})
        found = {check["part"]: check for check in ended.json["checks"]}
        assert ended.code == 0
        assert {"settings", "data", "memory", "embedder", "sandbox", "trace", "tier fast", "layers"} <= set(found)
        assert str(remembered.home) in found["data"]["finding"]
        assert "memories" in found["memory"]["finding"]
        assert found["embedder"]["state"] == "ok"
        assert "monty" in found["sandbox"]["finding"]
        assert "key present" in found["tier fast"]["finding"]
        assert "sk-not-to-be-shown" not in ended.out + ended.err

    def test_what_is_missing_comes_with_what_to_do(self, command: Command) -> None:
        ended = command("doctor")
        assert ended.code == 0
        assert "dionysus remember PATH" in ended.out
        assert "ANTHROPIC_API_KEY or OPENAI_API_KEY" in ended.out

    def test_a_part_that_fails_is_told_beside_the_others_with_code_1(self, command: Command) -> None:
        (command.folder / "other.db").write_text("something else " * 100)
        command.settings('[tiers.fast]\nmodels = ["openai/gpt-x"]\n[memory]\nurl = "sqlite:///other.db"')
        ended = command("doctor", "--json")
        states = {check["part"]: check["state"] for check in ended.json["checks"]}
        assert (ended.code, ended.json["ok"]) == (1, False)
        assert (states["memory"], states["tier fast"], states["layers"]) == ("fail", "fail", "ok")
        assert "OPENAI_API_KEY" in ended.out

    def test_a_password_in_a_url_is_not_shown(self, command: Command) -> None:
        ended = command("doctor", env={"DATABASE_URL": "postgresql://me:hunter22@127.0.0.1:1/db"})
        assert ended.code == 1
        assert "hunter22" not in ended.out + ended.err

    def test_wrong_settings_are_told_with_their_lines(self, command: Command) -> None:
        command.settings("[memory]\nulr = 1\n[sandbox]\nbackend = 'dokcer'")
        ended = command("doctor")
        assert ended.code == 2
        assert "dionysus.toml:2" in ended.err
        assert "dionysus.toml:4" in ended.err


class TestDashboard:
    def test_it_serves_the_runs_to_those_who_have_the_token_until_it_is_interrupted(self, thought: Thought) -> None:
        process = thought.command.start("dashboard", "--port", "0", "--json")
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            assert url.startswith("http://127.0.0.1:")
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())  # the token becomes a cookie
            with browser.open(url, timeout=30) as answer:
                assert QUESTION in answer.read().decode()
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url.partition("?")[0], timeout=30)
            refused.value.close()
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "Traceback" not in err

    def test_a_port_that_is_taken_is_an_error(self, command: Command) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            ended = command("dashboard", "--port", str(taken.getsockname()[1]))
        assert ended.code == 1
        assert "port" in ended.err


def test_two_commands_at_once_do_not_disturb_each_other(remembered: Command) -> None:
    (remembered.folder / "more.md").write_text("# More\n\nThe gateway listens on port 8080.\n")
    thinking = [remembered.start("think", QUESTION, "-q") for _ in range(2)]
    reading = remembered("remember", "more.md")
    for process in thinking:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "RabbitMQ" in out
    assert reading.code == 0
    assert "8080" in remembered("recall", "gateway port").out


def test_no_process_is_left_behind(remembered: Command) -> None:
    remembered.apart("think", QUESTION, "-q")
    remembered("recall", QUESTION)
    assert remembered.left_behind() == []


def test_the_folder_of_the_user_is_not_imported_from(remembered: Command) -> None:
    for name in ("layers", "sandbox", "cognition"):
        folder = Path(remembered.folder / name)
        folder.mkdir()
        (folder / "__init__.py").write_text("raise SystemExit('the wrong package')")
    # As the installed script does it: the working directory is not on the path.
    code = "import sys; sys.path = [p for p in sys.path if p]; from cognition.cli.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "recall", "queue"],
        cwd=remembered.folder,
        env=environment(remembered.home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
