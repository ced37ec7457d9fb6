"""The JavaScript that code may use: ES2022, with `await`, `return` and `import` at the top, and a session of names."""

import pytest

from sandbox import CodeError

pytestmark = pytest.mark.docker

ES2022 = {
    "destructuring of objects": (
        "const {a, b: {c = 3}, ...rest} = {a: 1, b: {}, d: 4}; [a, c, rest]",
        [1, 3, {"d": 4}],
    ),
    "destructuring of arrays": (
        "const [first, , third = 9, ...others] = [1, 2, undefined, 4, 5]; [first, third, others]",
        [1, 9, [4, 5]],
    ),
    "destructuring of arguments": ("(({x, y}) => x + y)({x: 1, y: 2})", 3),
    "template literals": ("const who = 'you'; `hello ${who.toUpperCase()}!`", "hello YOU!"),
    "tagged templates": ("((parts, ...given) => parts.raw.join('|') + given.length)`a${1}\\n${2}`", "a|\\n|2"),
    "spread": ("[...[1, 2], ...new Set([3]), ...'ab'].concat(Math.max(...[4, 5]))", [1, 2, 3, "a", "b", 5]),
    "spread of objects": ("({...{a: 1, b: 1}, b: 2})", {"a": 1, "b": 2}),
    "arrow functions": ("[1, 2, 3].map(n => n * n)", [1, 4, 9]),
    "default and rest parameters": ("((a, b = a + 1, ...more) => [a, b, more.length])(1, undefined, 3, 4)", [1, 2, 2]),
    "classes with private fields": (
        (
            "class Count { #n = 1; static made = 0; static { Count.made = 7 } get n() { return this.#n } #up() { "
            "this.#n++ } up() { this.#up(); return this } static has(o) { return #n in o } }; [new Count().up().n, "
            "Count.made, Count.has(new Count())]"
        ),
        [2, 7, True],
    ),
    "inheritance": (
        (
            "class Base { hi() { return 'hi' } } class Sub extends Base { hi() { return super.hi() + '!' } } new "
            "Sub().hi()"
        ),
        "hi!",
    ),
    "getters and setters": (
        "const box = {v: 1, get w() { return this.v }, set w(x) { this.v = x }}; box.w = 5; box.w",
        5,
    ),
    "generators": ("function* three() { yield* [1, 2]; yield 3 }; [...three()]", [1, 2, 3]),
    "async generators": (
        (
            "const seen = []; async function* some() { yield 1; yield 2 } for await (const n of some()) seen.push(n); "
            "seen"
        ),
        [1, 2],
    ),
    "top-level await": (
        ("const one = await Promise.resolve(1); one + await new Promise(done => setTimeout(() => done(2), 5))"),
        3,
    ),
    "a returned promise": ("return new Promise(done => setTimeout(done, 5, 'late'))", "late"),
    "a promise as the last value": ("(async () => { await null; return 7 })()", 7),
    "a thenable as the last value": ("({then(done) { done('then') }})", "then"),
    "Promise.all, allSettled and any": (
        (
            "[await Promise.all([1, Promise.resolve(2)]), (await Promise.allSettled([Promise.reject(1)]))[0].status, "
            "await Promise.any([Promise.reject(1), 5])]"
        ),
        [[1, 2], "rejected", 5],
    ),
    "optional chaining and nullish coalescing": (
        "const nothing = null; [nothing?.a?.b ?? 'none', ({f: () => 1}).f?.(), (0 ?? 1)]",
        ["none", 1, 0],
    ),
    "logical assignment": ("let l = null; l ??= 3; l &&= l + 1; l ||= 9; l", 4),
    "numeric separators and exponents": ("1_000 ** 2", 1_000_000),
    "at, flatMap and Object.entries": (
        "[[1, 2].at(-1), [[1], [2]].flatMap(x => x), Object.fromEntries(Object.entries({a: 1}))]",
        [2, [1, 2], {"a": 1}],
    ),
    "Object.hasOwn, structuredClone and replaceAll": (
        "[Object.hasOwn({a: 1}, 'a'), structuredClone({d: [1]}), 'a-a'.replaceAll('a', 'b')]",
        [True, {"d": [1]}, "b-b"],
    ),
    "causes of errors": ("new Error('a', {cause: 'b'}).cause", "b"),
    "regular expressions with names, lookbehind and indices": ("/(?<=a)(?<x>b)/d.exec('ab').indices.groups.x", [1, 2]),
    "symbols and iterators": ("[...{*[Symbol.iterator]() { yield 1 }}]", [1]),
    "proxies and Reflect": ("new Proxy({}, {get: (_, key) => key}).anything", "anything"),
    "labels and switch": (
        "let found; outer: for (const a of [1, 2]) { switch (a) { case 2: found = a; break outer } } found",
        2,
    ),
    "dynamic import": ("(await import('node:path')).basename('/a/b')", "b"),
    "static imports": (
        (
            "import fs, { existsSync as there } from 'fs'\nimport * as os from 'node:os'\n[typeof fs.readFileSync, "
            "there('/'), os.EOL]"
        ),
        ["function", True, "\n"],
    ),
    "require": ("require('crypto').createHash('sha256').update('a').digest('hex').slice(0, 8)", "ca978112"),
    "strict mode by directive": (
        "'use strict'\ntry { undeclared = 1 } catch (error) { return error.name }",
        "ReferenceError",
    ),
    "sloppy globals": ("sloppy = 4; sloppy", 4),
    "URL, TextEncoder and atob": (
        "[new URL('/b', 'http://a').href, new TextEncoder().encode('é').length, atob('YQ==')]",
        ["http://a/b", 2, "a"],
    ),
    "Intl": ("new Intl.NumberFormat('en').format(1234.5)", "1,234.5"),
    "timers": (
        (
            "let ticks = 0; await new Promise(done => { const t = setInterval(() => { if (++ticks === 3) { "
            "clearInterval(t); done() } }, 1) }); ticks"
        ),
        3,
    ),
    "promisified timers": ("await require('util').promisify(setTimeout)(2, 'v')", "v"),
    "nextTick, queueMicrotask and setImmediate in order": (
        (
            "const order = []; await new Promise(done => { setImmediate(() => { order.push('immediate'); done() }); "
            "process.nextTick(() => order.push('tick')); queueMicrotask(() => order.push('micro')); order.push('now') "
            "}); order"
        ),
        ["now", "tick", "micro", "immediate"],
    ),
    "WebAssembly": ("WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))", True),
    "an HTML-like comment and a hashbang": ("#!/usr/bin/env node\n6", 6),
    "unicode": ("const größe = '🦊'; [größe.length, [...größe].length]", [2, 1]),
}


@pytest.mark.parametrize(("code", "value"), ES2022.values(), ids=ES2022.keys())
def test_the_language_has(js, code, value):
    assert js(code).output == value


VALUES_OF_A_STEP = {
    "the last expression": ("1\n2", 2),
    "the last expression, with a semicolon and a comment": ("1 + 1; // two", 2),
    "an object in parentheses": ("({a: 1})", {"a": 1}),
    "an assignment": ("let v; v = 3", 3),
    "a sequence": ("1, 2", 2),
    "a call before the functions that it calls": ("early(2)\nfunction early(n) { return n * 2 }", 4),
    "return anywhere at the top": ("for (const n of [1, 2, 3]) { if (n > 1) return n }\n9", 2),
    "return of a parenthesis over lines": ("return (\n  1 +\n  2\n)", 3),
    "return without a value": ("return\n5", None),
    "a declaration": ("const nothing = 5", None),
    "a loop": ("for (const n of [1]) n", None),
    "nothing": ("", None),
    "a comment": ("// only", None),
    "a function that ends the text": ("5\nfunction afterwards() {}", 5),
    "a class that ends the text": ("class Ends {}", None),
    "a line that goes on": ("const list = [1]\nlist\n  .map(n => n + 1)\n  .length", 1),
}


@pytest.mark.parametrize(("code", "value"), VALUES_OF_A_STEP.values(), ids=VALUES_OF_A_STEP.keys())
def test_the_value_of_a_step_is(js, code, value):
    assert js(code).output == value


def test_what_is_declared_at_the_top_is_there_in_the_next_step(own_js):
    own_js(
        "const a = 1; let b = 2, c; var d = 4\nfunction e() { return a }\nclass F { static g = 6 }\nconst {h, i: [j]} "
        "= {h: 8, i: [9]}"
    )
    assert own_js("[a, b, c, d, e(), F.g, h, j]").output == [1, 2, None, 4, 1, 6, 8, 9]


def test_what_was_awaited_or_imported_at_the_top_is_there_in_the_next_step(own_js):
    own_js("import path from 'path'\nimport { EOL as end } from 'os'\nconst got = await Promise.resolve(5)")
    assert own_js("[path.sep, end, got]").output == ["/", "\n", 5]


def test_a_var_within_blocks_is_there_in_the_next_step_and_a_let_is_not(own_js):
    own_js(
        "for (var i = 0, far = 3; i < far; i++) { var inner = i; let gone = 1 }\nif (true) var yes = 1\nelse var no = 2"
    )
    own_js(
        "try { var tried = 1; throw 1 } catch (e) { var caught = e } finally { var last = 3 }\nswitch (1) { case 1: "
        "var chosen = 1 }"
    )
    assert own_js("[i, inner, yes, no, tried, caught, last, chosen, typeof gone]").output == [
        3,
        2,
        1,
        None,
        1,
        1,
        3,
        1,
        "undefined",
    ]


def test_the_same_names_may_be_declared_again_in_another_step(own_js):
    for code in ("const x = 1", "let x = 2", "class x {}", "function x() {}", "var x = 5"):
        own_js(code)
    assert own_js("const x = x0 => x0; let y = 1\nconst z = y\nx(z)").output == 1
    assert own_js("const x = 7; x").output == 7


def test_a_function_of_an_earlier_step_sees_what_later_steps_assign(own_js):
    own_js("let rate = 1; function price(n) { return n * rate } const twice = n => price(n) * 2")
    own_js("rate = 3; function price(n) { return n + rate }")
    assert own_js("twice(1)").output == 8


def test_names_of_the_language_may_be_declared_without_harm(own_js):
    own_js(
        "const Map = 1, Set = 2, Buffer = 3, Promise = 4, JSON = 5, Object = 6, Reflect = 7, process = 8, Array = 9, "
        "Error = 10"
    )
    assert own_js("[Map, Set, Buffer, JSON, Object, Reflect, process, Array, Error, Promise]").output == [
        1,
        2,
        3,
        5,
        6,
        7,
        8,
        9,
        10,
        4,
    ]
    with pytest.raises(CodeError, match="TypeError: no"):
        own_js("throw new TypeError('no')")
    assert (
        own_js("const crypto = require('crypto'), performance = 1, name = 2; typeof crypto.createHash").output
        == "function"
    )
    assert own_js("typeof crypto.createHash").output == "function"


def test_semicolons_may_be_left_out_around_what_is_rewritten(own_js):
    own_js(
        "const a = 1\nlet b\n(function () { globalThis.ran = true })()\nvar c = [1]\nclass D {}\n[2].forEach(n => { b "
        "= n })"
    )
    assert own_js("[a, b, c, ran]").output == [1, 2, [1], True]
    assert own_js("if (a) var q = 1\nelse var q = 2\nq").output == 1
    assert own_js("label: for (var k in {m: 1}) { var n = k }\n[k, n]").output == ["m", "m"]
    assert own_js("do var w = 1; while (false)\nw").output == 1


def test_anonymous_functions_and_classes_get_their_names(js):
    assert js(
        "const arrow = () => 1, made = class {}, fun = function () {}; [arrow.name, made.name, fun.name]"
    ).output == ["arrow", "made", "fun"]


def test_variables_of_the_host_are_there_and_may_be_declared_over(own_js):
    own_js.send_variables({"context": {"rows": [1, 2]}})
    assert own_js("const {rows} = context; rows").output == [1, 2]
    own_js("const context = 5")
    own_js.send_variables({"context": {"rows": [3]}})
    assert own_js("context.rows").output == [3]


def test_what_runs_on_after_its_step_goes_on_in_the_next_one(own_js):
    own_js("let late = 0; setTimeout(() => { late = 1 }, 1)")
    assert own_js("await new Promise(done => setTimeout(done, 30)); late").output == 1


def test_modules_in_the_folder_can_be_required(own_js):
    own_js.put_file("double.js", b"module.exports = n => 2 * n")
    own_js.put_file("triple.mjs", b"export default n => 3 * n")
    assert own_js("[require('./double.js')(2), (await import('./triple.mjs')).default(2)]").output == [4, 6]


def test_two_sessions_never_see_each_other(backend, own_js):
    from sandbox import JavaScriptSandbox

    own_js("globalThis.secret = 1; require('fs').writeFileSync('secret.txt', 'x')")
    with JavaScriptSandbox(backend=backend) as other:
        assert other("[typeof secret, require('fs').readdirSync('.')]").output == ["undefined", []]


def test_a_hot_loop_over_names_of_the_top_is_as_fast_as_v8(js):
    # Names of a `vm` context would cost a hundred times as much.
    assert js("let sum = 0\nfor (let i = 0; i < 5e7; i++) sum += i & 3\nsum").output == 75_000_000
