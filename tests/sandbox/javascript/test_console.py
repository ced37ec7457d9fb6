"""What code prints, by the console and around it."""

import pytest

from sandbox import CodeError

pytestmark = pytest.mark.docker


def test_all_levels_are_kept_in_the_order_in_which_they_came(js):
    code = (
        "console.log('a'); console.error('b'); console.info('c'); console.warn('d'); console.debug('e'); "
        "console.trace; console.log('f')"
    )
    assert js(code).logs == "a\nb\nc\nd\ne\nf\n"


def test_values_are_printed_as_node_prints_them(js):
    printed = js("console.log('%s is %d', 'x', 5, {a: [1, {b: null}]}, new Map([[1, 2]]), 5n, undefined)").logs
    assert printed == "x is 5 { a: [ 1, { b: null } ] } Map(1) { 1 => 2 } 5n undefined\n"


def test_tables_groups_counts_and_asserts_are_printed(js):
    printed = js(
        "console.table([{a: 1, b: 'x'}]); console.group('g'); console.log('in'); console.groupEnd(); "
        "console.count('c'); console.assert(false, 'no'); console.dir({d: 1})"
    ).logs
    assert "│    0    │ 1 │ 'x' │" in printed
    assert printed.endswith("g\n  in\nc: 1\nAssertion failed: no\n{ d: 1 }\n")


def test_errors_are_printed_with_their_lines(js):
    assert "step-" in js("console.error(new Error('shown'))").logs


def test_writes_around_the_console_come_in_order_too(js):
    code = (
        "console.log('1'); process.stdout.write('2\\n'); require('fs').writeSync(1, '3\\n'); "
        "process.stderr.write('4\\n'); console.log('5')"
    )
    assert js(code).logs == "1\n2\n3\n4\n5\n"


def test_what_was_printed_before_an_error_is_kept(js):
    with pytest.raises(CodeError):
        js("console.log('before'); nowhere()")
    assert js.state["_print_outputs"] == "before\n"


def test_what_is_printed_after_an_await_is_kept(js):
    assert js("console.log(1); await new Promise(done => setTimeout(done, 5)); console.log(2)").logs == "1\n2\n"


def test_a_console_that_was_replaced_is_there_again_in_the_next_step(own_js):
    own_js("console.log = () => {}; console.info = null")
    own_js("globalThis.console = null")
    assert own_js("console.log('here'); console.info('too')").logs == "here\ntoo\n"


def test_a_console_that_fights_back_prints_nothing_worse_than_an_error(js):
    with pytest.raises(CodeError, match="no"):
        js("console.log({[require('util').inspect.custom]() { throw new Error('no') }})")
    assert js("console.log('next')").logs == "next\n"


def test_text_that_is_no_unicode_is_printed_as_such(js):
    assert js("console.log('a\\ud800b')").logs == "a�b\n"
