"""Errors of the code: their name, message and lines, as its writer needs them."""

import pytest

from sandbox import CodeError, SessionLost

pytestmark = pytest.mark.docker


def failed(js, code):
    with pytest.raises(CodeError) as caught:
        js(code)
    return caught.value


KINDS = {
    "TypeError": ("null.x", "TypeError: Cannot read properties of null (reading 'x')"),
    "ReferenceError": ("nowhere", "ReferenceError: nowhere is not defined"),
    "RangeError": ("new Array(-1)", "RangeError: Invalid array length"),
    "a class of one's own": ("class Odd extends Error { name = 'Odd' }; throw new Odd('m')", "Odd: m"),
    "a text": ("throw 'words'", "Uncaught 'words'"),
    "an object": ("throw {code: 5}", "Uncaught { code: 5 }"),
    "nothing": ("throw undefined", "Uncaught undefined"),
    "a cause": ("throw new Error('top', {cause: new TypeError('deep')})", "caused by TypeError: deep\nError: top"),
    "several": (
        "await Promise.any([Promise.reject(new Error('one'))])",
        "Error: one\nAggregateError: All promises were rejected",
    ),
    "a rejection": ("await Promise.reject(new Error('later'))", "Error: later"),
    "a rejection that nobody awaits": ("Promise.reject(new Error('unseen')); 1", "Error: unseen"),
    "an async function that nobody awaits": (
        "const f = async () => { null.x }; f(); 1",
        "TypeError: Cannot read properties of null (reading 'x')",
    ),
    "an error of a timer": (
        "setTimeout(() => { throw new Error('tick') }, 1); await new Promise(done => setTimeout(done, 500))",
        "Error: tick",
    ),
    "an error of a callback of Node": (
        (
            "require('fs').stat('.', () => { throw new Error('callback') }); await new Promise(done => "
            "setTimeout(done, 500))"
        ),
        "Error: callback",
    ),
    "an error of an emitter": ("new (require('events'))().emit('error', new Error('emitted'))", "Error: emitted"),
    "a deep recursion": ("const down = () => down(); down()", "RangeError: Maximum call stack size exceeded"),
    "an error without a stack": ("const bare = new Error('bare'); delete bare.stack; throw bare", "Error: bare"),
    "a promise that nothing can settle": (
        "await new Promise(() => {})",
        "Error: the step waits for a promise that nothing can settle any more",
    ),
}


@pytest.mark.parametrize(("code", "text"), KINDS.values(), ids=KINDS.keys())
def test_the_text_ends_with_name_and_message_for(js, code, text):
    assert str(failed(js, code)).endswith(text)
    assert js("1").output == 1


LINES = {
    "at the top": ("1\n\nnowhere", 3),
    "after what is rewritten": ("import fs from 'fs'\nconst {\n  a\n} = {}\nclass B {\n}\nnull.x", 7),
    "after an await": ("await null\nconst x = 1\nnull.x", 3),
    "in a declaration": ("const a = 1\nconst b = null.x", 2),
    "in the first line": ("null.x", 1),
    "in a return": ("\nreturn null.x", 2),
    "in a callback": ("[1].forEach(() => {\n  null.x\n})", 2),
    "with the line ends of Windows": ("1\r\n2\r\nnull.x", 3),
}


@pytest.mark.parametrize(("code", "line"), LINES.values(), ids=LINES.keys())
def test_the_line_is_that_of_the_text_as_it_was_written(js, code, line):
    assert failed(js, code).line == line


SYNTAX = {
    "const a = ;": ("SyntaxError: Unexpected token ';'", 1),
    "1\n2\nfoo(": ("SyntaxError: Unexpected end of input", 3),
    "const a = 1\nif (a {\n}": ("SyntaxError: Unexpected token '{'", 2),
    "let x = 1; let x = 2": ("SyntaxError: Identifier 'x' has already been declared", 1),
    "1\nimport { from 'fs'": ("SyntaxError: Unexpected token", 2),
    "1\nexport const a = 1": ("SyntaxError: 'export' has no meaning here", 2),
    "'use strict'\nwith ({}) {}": ("SyntaxError: Strict mode code may not include a with statement", 2),
    "function f() { await 1 }": ("SyntaxError: await is only valid", 1),
    "'unfinished": ("SyntaxError: Invalid or unexpected token", 1),
    "a b": ("SyntaxError: Unexpected identifier", 1),
    "})(); process.exit(1); (async () => {": ("SyntaxError: ", 1),
}


@pytest.mark.parametrize(
    ("code", "text", "line"), [(code, *found) for code, found in SYNTAX.items()], ids=SYNTAX.keys()
)
def test_a_mistake_in_the_text_is_named_with_its_line(js, code, text, line):
    error = failed(js, code)
    assert text in str(error)
    assert error.line == line


def test_the_way_to_the_error_is_shown_with_the_lines_of_all_steps(own_js):
    own_js("function outer(f) {\n  return f()\n}")
    error = failed(own_js, "const inner = () => {\n  return nowhere\n}\nouter(inner)")
    assert str(error) == (
        "  at this step, line 4\n    outer(inner)\n"
        "  at an earlier step, line 2, in outer\n    return f()\n"
        "  at this step, line 2, in inner\n    return nowhere\n"
        "ReferenceError: nowhere is not defined"
    )
    assert error.line == 2


def test_nothing_of_the_machinery_is_shown(js):
    assert "sandbox" not in str(failed(js, "const f = () => f(); f()"))
    assert "node:" not in str(failed(js, "require('fs').readFileSync('/nowhere')"))


@pytest.mark.parametrize(
    "code",
    [
        "throw {get message() { throw 1 }, [require('util').inspect.custom]() { throw 1 }}",
        "const e = new Error('x'); Object.defineProperty(e, 'stack', {get() { throw 1 }}); throw e",
        "const e = new Error('x'); Object.defineProperty(e, 'message', {get() { throw 1 }}); throw e",
        "const e = new Error('x'); e.message = {toString() { throw 1 }}; throw e",
        "const e = new Error('x'); e.name = Symbol('s'); throw e",
        "throw new Error('x'.repeat(1e7))",
        "const e = new Error('x'); e.stack = '    at step-1.js:1:1\\n'.repeat(1e6); throw e",
        "throw new Proxy(new Error('x'), {get() { throw 1 }})",
        "Error.prepareStackTrace = () => { throw 1 }; null.x",
        "Error.stackTraceLimit = 1e9; const f = () => f(); f()",
    ],
)
def test_an_error_that_fights_back_is_still_one_of_the_code(js, code):
    error = failed(js, code)
    assert not isinstance(error, SessionLost)
    assert len(str(error)) < 20_000
    assert js("1").output == 1


def test_an_error_of_a_step_that_has_ended_is_not_told_as_its_own(own_js):
    own_js("let stop; const later = new Promise((_, no) => { stop = no }); 1")
    assert own_js("later.catch(() => 'handled'); stop(new Error('old')); 2").output == 2
