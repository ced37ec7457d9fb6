"""What takes too long is ended, and the session stays, or is clearly another one.

How soon is measured in `tests/promises/test_javascript_time.py`.
"""

import pytest

from sandbox import JavaScriptAgent, LimitExceeded
from tests.sandbox.docker.patience import patient, unhurried

pytestmark = pytest.mark.docker

INTERRUPTED = {
    "a loop": "while (true);",
    "a loop after an await": "await null; while (true);",
    "a loop that catches": "while (true) { try { while (true); } catch {} finally { while (true); } }",
    "promises without end": "const again = () => Promise.resolve().then(again); again(); await new Promise(() => {})",
    "an async loop": "while (true) await null",
    "a promise that nothing settles, while a timer ticks": "setInterval(() => {}, 10); await new Promise(() => {})",
    "a loop in a timer": "setTimeout(() => { while (true); }, 1); await new Promise(() => {})",
    "timers that make timers": "const tick = () => setImmediate(tick); tick(); await new Promise(() => {})",
    "a loop in an interval": "setInterval(() => { while (true); }, 1); await new Promise(() => {})",
    "a regular expression": "/^(a+)+$/.test('a'.repeat(40) + 'b')",
    "Atomics.wait": "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
    "a getter of the value": "({get a() { while (true); }})",
    "toJSON of the value": "({a: new (class { toJSON() { while (true); } })()})",
    "a getter of the error": "throw Object.defineProperty(new Error('x'), 'stack', {get() { while (true); }})",
    "an iterator that is spread": "Math.max(...{*[Symbol.iterator]() { while (true) yield 1 }})",
    "a proxy as the prototype": "({__proto__: new Proxy({}, {get() { while (true); }})}).x",
    "printing without end": "while (true) console.log('x'.repeat(1000))",
    "WebAssembly": (
        "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, "
        "0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11]))).exports.f()"
    ),
}
ENDED = {
    "a loop on leaving": "process.on('exit', () => { while (true); }); process.exit()",
    "a child that is waited for": "require('child_process').spawnSync('sleep', ['100'])",
    "a digest of C without end": "require('crypto').pbkdf2Sync('a', 'b', 1e9, 64, 'sha512')",
    "a loop that ignores signals in a callback of Node": (
        "process.on('SIGINT', () => {}); require('fs').stat('.', () => { while (true); }); await new Promise(() => {})"
    ),
}


@pytest.fixture(scope="module")
def brief(sandbox_image):
    from sandbox import JavaScriptSandbox, SandboxSettings

    with JavaScriptSandbox(limits=SandboxSettings(image=sandbox_image, warm=0, step_timeout=0.5)) as box:
        yield box


@pytest.mark.parametrize("code", INTERRUPTED.values(), ids=INTERRUPTED.keys())
def test_it_is_interrupted_and_the_variables_are_kept(brief, code):
    with patient(brief):
        brief("let kept = 5")
    with unhurried(), pytest.raises(LimitExceeded, match="TimeoutError: the step ran longer than 0.5 s") as caught:
        brief(code)
    assert not caught.value.state_lost
    with patient(brief):
        assert brief("await new Promise(done => setTimeout(done, 20)); kept").output == 5


@pytest.mark.parametrize("code", ENDED.values(), ids=ENDED.keys())
def test_it_is_ended_and_the_agent_told_that_its_variables_are_gone(brief, code):
    with pytest.raises(LimitExceeded, match="gone") as caught:
        brief(code)
    assert caught.value.state_lost
    with patient(brief):
        assert brief("1").output == 1


def test_ticks_without_end_are_interrupted_or_ended_and_the_agent_is_told_which(brief):
    with patient(brief):
        brief("let kept = 5")
    with pytest.raises(LimitExceeded, match="TimeoutError: the step ran longer than 0.5 s") as caught:
        brief("const again = () => process.nextTick(again); again(); await new Promise(() => {})")
    assert ("gone" in str(caught.value)) == caught.value.state_lost  # it depends on where the interrupt finds Node
    with patient(brief):
        assert brief("typeof kept").output == ("undefined" if caught.value.state_lost else "number")


def test_threads_that_spin_don_t_keep_a_step_from_ending(own_js):
    own_js("new (require('worker_threads').Worker)('while (true);', {eval: true})")
    assert own_js("1").output == 1


def test_each_execution_has_its_own_time_limit(backend):
    with JavaScriptAgent(backend=backend) as js:
        js.execute_code("let kept = 5")
        with unhurried():
            late = js.execute_code("while (true);", timeout=0.2)
        assert not late["success"]
        assert "longer than 0.2 s" in late["error"]
        assert js.execute_code("await new Promise(done => setTimeout(done, 300)); kept")["result"] == 5
