"""What one step does to the language, to Node and to the worker, and how later steps are none the worse."""

import pytest

from sandbox import CodeError

pytestmark = pytest.mark.docker

POISONS = {
    "then on all objects": "Object.prototype.then = () => {}",
    "toJSON on all objects": "Object.prototype.toJSON = () => 'forged'",
    "a setter on all objects": (
        "Object.defineProperty(Object.prototype, 'value', {set() { throw 1 }, get() { return 'forged' }, "
        "configurable: true})"
    ),
    "a get on all objects": "Object.prototype.get = 1; Object.prototype.configurable = false",
    "an index on all arrays": (
        "Object.defineProperty(Array.prototype, '0', {set() { throw 1 }, configurable: true}); "
        "Object.defineProperty(Object.prototype, '1', {set() { throw 1 }, configurable: true})"
    ),
    "JSON": "JSON.parse = JSON.stringify = () => { throw 1 }; globalThis.JSON = null",
    "Promise": "Promise.prototype.then = () => { throw 1 }; Promise.resolve = null; globalThis.Promise = class {}",
    "the constructor of promises": "Promise.prototype.constructor = function (run) { throw 1 }",
    "iteration": (
        "Array.prototype[Symbol.iterator] = () => { throw 1 }; Object.getPrototypeOf([][Symbol.iterator]()).next = () "
        "=> { throw 1 }"
    ),
    "methods of arrays": (
        "for (const name of Object.getOwnPropertyNames(Array.prototype)) if (name !== 'length') Array.prototype[name] "
        "= () => { throw 1 }"
    ),
    "methods of functions": (
        "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { throw 1 }"
    ),
    "methods of text": (
        "for (const name of ['replace', 'split', 'slice', 'trim', 'includes', 'charCodeAt', 'toString', 'matchAll']) "
        "String.prototype[name] = () => { throw 1 }"
    ),
    "maps and sets": (
        "Map.prototype.get = Map.prototype.set = Set.prototype.has = Set.prototype.add = () => { throw 1 }; "
        "globalThis.Map = globalThis.Set = null"
    ),
    "regular expressions": (
        "RegExp.prototype.exec = () => { throw 1 }; RegExp.prototype[Symbol.replace] = () => { throw 1 }"
    ),
    "Reflect and Object": (
        "for (const it of [Reflect, Object]) for (const name of Object.getOwnPropertyNames(it)) try { it[name] = () "
        "=> { throw 1 } } catch {}"
    ),
    "buffers": (
        "Buffer.from = Buffer.alloc = Buffer.allocUnsafe = () => { throw 1 }; Uint8Array.prototype.set = () => { "
        "throw 1 }"
    ),
    "files": "const fs = require('fs'); fs.readSync = fs.writeSync = () => { throw 1 }",
    "modules": (
        "const Module = require('module'); Module._load = Module.prototype.require = () => { throw 1 }; for (const "
        "key in require.cache) delete require.cache[key]"
    ),
    "vm": ("const vm = require('vm'); vm.Script = null; vm.runInThisContext = null; require('vm').Script = class {}"),
    "process": (
        "process._tickCallback = process.reallyExit = process.on = process.removeAllListeners = process.nextTick = () "
        "=> { throw 1 }"
    ),
    "listeners": (
        "process.removeAllListeners(); process.on('SIGINT', () => {}); process.on('uncaughtException', () => {}); "
        "process.on('unhandledRejection', () => {}); process.on('beforeExit', () => { for (;;); })"
    ),
    "a callback for all errors": "process.setUncaughtExceptionCaptureCallback(() => {})",
    "the console": "for (const name in console) console[name] = () => { throw 1 }",
    "stacks": (
        "Error.prepareStackTrace = () => { throw 1 }; Error.captureStackTrace = null; Error.stackTraceLimit = 0"
    ),
    "timers": "globalThis.setTimeout = globalThis.setImmediate = globalThis.queueMicrotask = () => { throw 1 }",
    "frozen objects": (
        "Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.freeze(Promise.prototype)"
    ),
    "a prototype of prototypes": (
        "Object.setPrototypeOf(Array.prototype, new Proxy({}, {get() { throw 1 }, has() { throw 1 }}))"
    ),
    "a prototype of the global object": (
        "try { Object.setPrototypeOf(globalThis, new Proxy({}, {get() { throw 1 }, has() { throw 1 }})) } catch {}"
    ),
    "a global object that takes nothing": "Object.preventExtensions(globalThis)",
    "then, for good": (
        "Object.defineProperty(Promise.prototype, 'then', {value: () => { throw 1 }, configurable: false})"
    ),
    "tools that can't be replaced": (
        "Object.defineProperty(globalThis, 'tools', {get() { throw 1 }, configurable: false})"
    ),
    "a hook that loops on every promise": (
        "setTimeout(() => {}, 0); require('async_hooks').createHook({init() { for (;;); }}).enable()"
    ),
    "the working folder": "process.chdir('/')",
    "the environment": (
        "for (const key in process.env) delete process.env[key]; process.env.NODE_OPTIONS = '--require=/nowhere'"
    ),
    "flags of V8": "require('v8').setFlagsFromString('--no-opt'); require('v8').setFlagsFromString('--stack-size=50')",
    "an undefined Symbol.iterator and no eval": "globalThis.Symbol = globalThis.eval = globalThis.Function = undefined",
}
LATER = (
    "const got = [1, {a: 'b'}, await tools.one(), await new Promise(done => setTimeout(() => done(2), "
    "1))]\nconsole.log('here')\ngot"
)


@pytest.mark.parametrize("code", POISONS.values(), ids=POISONS.keys())
def test_a_step_that_poisons_its_session_leaves_a_usable_or_clearly_replaced_one(own_js, code):
    # What poison does in its own step is the code's own affair; the next one has a session again, or is told.
    own_js.send_tools({"one": lambda: 1})
    told = ""
    for step, seconds in ((code, 3), (LATER, 10)):
        try:
            with own_js.within(seconds):
                done = own_js(step)
        except CodeError as error:
            told += str(error)
    if "gone" in told:
        done = own_js(LATER)
    assert done.output == [1, {"a": "b"}, 1, 2], told
    assert done.logs == "here\n"
    with pytest.raises(CodeError, match="TypeError: told"):
        own_js("throw new TypeError('told')")


PROVED = ["the console", "process", "timers", "methods of arrays", "then on all objects", "buffers"]


@pytest.mark.parametrize("name", PROVED)
def test_the_poison_works_where_nothing_is_put_back(limited_js, monkeypatch, name):
    from sandbox.javascript import session

    def worn(*given, program=session.program):
        source = program(*given)
        for function in (b"function restored(", b"function withoutAdditions("):
            assert function in source
            source = source.replace(function, function + b") { return true } function unused_" + function[9:])
        return source

    monkeypatch.setattr(session, "program", worn)
    js = limited_js(step_timeout=3.0)
    js.send_tools({"one": lambda: 1})
    try:
        js(POISONS[name])
        done = js(LATER)
    except CodeError:
        return
    assert (done.output, done.logs) != ([1, {"a": "b"}, 1, 2], "here\n")
