"""What an agent's code block may count on, whichever backend runs it."""

import contextlib

import pytest

from sandbox import CodeError, SandboxClosed, SandboxError, ValueRefused


def test_the_last_expression_is_the_output_and_print_is_the_log(box):
    result = box("print('hello', 1)\n40 + 2")
    assert (result.output, result.logs, result.is_final_answer) == (42, "hello 1\n", False)


def test_a_step_that_ends_with_a_statement_has_no_output(box):
    assert box("x = 1").output is None


def test_variables_functions_and_imports_are_kept_between_steps(box):
    box("import json\nseen = [1]\ndef double(n):\n    return n * 2")
    assert box("seen.append(double(seen[0]))\njson.dumps(seen)").output == "[1, 2]"


def test_variables_can_be_sent_and_changed_by_the_code(box):
    box.send_variables({"task": {"names": ["a", "b"], "size": (1, 2)}})
    assert box("task['size'][1]").output == 2
    box("task = 'mine'")
    assert box("task").output == "mine"


def test_variables_sent_later_replace_earlier_ones(box):
    box.send_variables(variables={"n": 1})
    assert box("n").output == 1
    box.send_variables(variables={"n": 2})
    assert box("n").output == 2


@pytest.mark.parametrize("failing", ["if:", "1 / 0", "final_answer(1)"])
def test_variables_sent_before_a_step_that_fails_are_there_in_the_next(box, failing):
    box.send_variables({"given": 1})
    with contextlib.suppress(CodeError):
        box(failing)
    assert box("given").output == 1


@pytest.mark.parametrize("variables", [{"not a name": 1}, {"x": object()}, {"f": print}])
def test_variables_that_cannot_cross_are_refused_by_name(box, variables):
    with pytest.raises(ValueRefused, match=next(iter(variables))):
        box.send_variables(variables)


def test_the_final_answer_ends_the_step(box):
    result = box("print('before')\nfinal_answer({'city': 'Ulm'})\nprint('after')\nx = 1")
    assert (result.output, result.logs, result.is_final_answer) == ({"city": "Ulm"}, "before\n", True)


def test_code_after_the_final_answer_never_calls_a_tool(open_box):
    called = []
    box = open_box({"tool": lambda: called.append(1)})
    code = "try:\n    final_answer(1)\nexcept:\n    tool()\nfinally:\n    tool()\ntool()"
    assert box(code).is_final_answer
    box("1")
    assert called == []


def test_a_final_answer_in_a_function_in_a_loop_ends_the_step_at_once(box):
    result = box("def f():\n    for i in range(10):\n        if i == 3:\n            final_answer(i)\nf()")
    assert (result.output, result.is_final_answer) == (3, True)


def test_variables_outlive_a_final_answer(box):
    box("found = 'kept'\nfinal_answer(1)")
    assert box("found").output == "kept"


def test_a_session_is_usable_after_code_that_would_not_let_go_of_its_final_answer(box):
    assert box("while True:\n    try:\n        final_answer(1)\n    except:\n        pass").is_final_answer
    result = box("print('next')\n1 + 1")
    assert result.output == 2
    assert "gone" in result.logs


def test_final_answer_takes_a_keyword_too(box):
    assert box("final_answer(answer=[1])").output == [1]


def test_an_error_names_its_type_message_and_line(box):
    with pytest.raises(CodeError) as caught:
        box("a = 1\nb = 0\n\na / b\n")
    assert caught.value.line == 4
    assert "ZeroDivisionError: division by zero" in str(caught.value)
    assert "a / b" in str(caught.value)


def test_an_error_in_a_function_of_an_earlier_step_is_placed_in_this_step(box):
    box("def broken():\n    return {}['key']")
    with pytest.raises(CodeError) as caught:
        box("\n\nbroken()")
    assert caught.value.line == 3
    assert "KeyError" in str(caught.value)


def test_code_that_does_not_parse_says_where(box):
    with pytest.raises(CodeError, match="SyntaxError|IndentationError") as caught:
        box("a = 1\nif a:\nb = 2")
    assert caught.value.line == 3


def test_an_unknown_name_is_a_name_error(box):
    with pytest.raises(CodeError, match="NameError: name 'nowhere' is not defined"):
        box("nowhere")
    with pytest.raises(CodeError, match="NameError: name 'nowhere' is not defined"):
        box("nowhere(1)")


def test_what_was_printed_before_an_error_is_kept_for_smolagents(box):
    with pytest.raises(CodeError):
        box("print('so far')\nraise ValueError('then this')")
    assert box.state["_print_outputs"] == "so far\n"


def test_an_error_shows_nothing_of_the_host(open_box):
    def tool():
        secret = "s3cret"
        raise ValueError(len(secret))

    with pytest.raises(CodeError) as caught:
        open_box({"tool": tool})("tool()")
    assert "s3cret" not in str(caught.value)
    assert __file__ not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_long_error_message_is_cut(box):
    with pytest.raises(CodeError) as caught:
        box("raise ValueError('x' * 1000000)")
    assert len(str(caught.value)) < 20_000


def test_state_survives_an_error(box):
    box("kept = 5")
    with pytest.raises(CodeError):
        box("kept = 6\nraise RuntimeError('no')")
    assert box("kept").output == 6


@pytest.mark.parametrize("leaving", ["raise KeyboardInterrupt()", "raise SystemExit()", "import sys\nsys.exit(1)"])
def test_code_that_raises_a_stop_of_its_own_is_only_an_error(box, leaving):
    with pytest.raises(CodeError):
        box(leaving)
    assert box("1").output == 1


def test_output_that_is_no_plain_value_becomes_a_text(box):
    assert isinstance(box("lambda x: x").output, str)
    assert isinstance(box("print").output, str)
    assert box("import datetime\ndatetime.date(2024, 2, 29)").output == "2024-02-29"


def test_cleanup_may_come_twice_and_then_nothing_runs(open_box):
    box = open_box(files={"a.txt": b"1"})
    box("x = 1")
    box.cleanup()
    box.cleanup()
    for use in (lambda: box("x"), lambda: box.put_file("b", b""), lambda: box.get_file("a.txt"), box.list_files):
        with pytest.raises(SandboxClosed, match="open another"):
            use()


def test_cleanup_before_the_first_step_is_fine(open_box):
    open_box().cleanup()


def test_a_sandbox_is_a_context_manager(open_box):
    with open_box() as box:
        assert box("1").output == 1
    with pytest.raises(SandboxClosed):
        box("1")


def test_a_closed_backend_closes_its_sandboxes_and_opens_no_more(make_backend):
    backend = make_backend()
    box = backend.open()
    box("1")
    backend.close()
    backend.close()
    with pytest.raises(SandboxClosed):
        box("1")
    with pytest.raises(SandboxError, match="closed"):
        backend.open()


def test_a_backend_says_its_name_and_how_to_write_code_for_it(make_backend):
    backend = make_backend()
    assert backend.open().backend == backend.name
    assert "import" in backend.guidance


def test_a_tool_cannot_run_code_in_the_sandbox_that_called_it(open_box):
    box = open_box({"again": lambda: box("1")})
    with pytest.raises(CodeError, match="running code already"):
        box("again()")
    assert box("2").output == 2
