"""What code in JavaScript tries against its box, the host and its own worker; the container is the boundary.

The ways out of a box are tried twice, as Python's are: where its defence is gone each must work, and in a whole box
it must not.
"""

import re
import time
from contextlib import ExitStack

import pytest

from sandbox import CodeError, JavaScriptSandbox, SandboxSettings, SessionLost
from tests.sandbox.docker.attacks.defences import WeakenedBackend
from tests.sandbox.docker.attacks.host import Listeners, outcome
from tests.sandbox.docker.patience import unhurried
from tests.sandbox.javascript.ways_out import ATTACKS

pytestmark = pytest.mark.docker

ENDINGS = {
    "process.exit": "process.exit(0)",
    "process.reallyExit": "process.reallyExit(0)",
    "process.abort": "process.abort()",
    "SIGKILL": "process.kill(process.pid, 'SIGKILL'); await new Promise(done => setTimeout(done, 2000))",
    "SIGSEGV": "process.kill(process.pid, 'SIGSEGV'); await new Promise(done => setTimeout(done, 2000))",
    "the end of its channel": "require('fs').closeSync(3)",
    "garbage": "require('fs').writeSync(3, Buffer.alloc(64, 255))",
    "an empty end of a step": "forge('d', '{}')",
    "an end of another step": "forge('d', JSON.stringify({id: '0000000000000000', value: 1}))",
    "an end that is no message": "forge('d', '[]')",
    "a call that is none": "forge('c', '{}')",
    "a call of another step": "forge('c', JSON.stringify({step: 'x', call: 1, name: 'one', args: [], kwargs: {}}))",
    "a null for a call": "forge('c', 'null')",
    "a greeting": "forge('h', '{}')",
    "a loss": "forge('l', '{\"reason\": \"memory\"}')",
    "a file": "forge('F', '{}')",
    "an end nested too deep": "forge('d', '['.repeat(2e5))",
    "a frame larger than allowed": (
        "const head = Buffer.from([255, 255, 255, 255, 100]); require('fs').writeSync(3, head); for (;;) "
        "require('fs').writeSync(3, Buffer.alloc(65536))"
    ),
    "a frame of a child": (
        "require('child_process').spawnSync('python3', ['-c', 'import os; os.write(3, b\"x\" * 64)'], {stdio: "
        "['ignore', 'ignore', 'ignore', 3]})"
    ),
    "a frame of a thread": (
        "await new Promise(done => new (require('worker_threads').Worker)('require(\"fs\").writeSync(3, "
        "Buffer.alloc(64, 255))', {eval: true}).on('exit', done))"
    ),
    "two ends": "forge('d', '{}'); forge('d', '{}')",
    "a hook that raises on every promise": (
        "require('async_hooks').createHook({init() { throw new Error('no') }}).enable(); await null"
    ),
}
FORGE = (
    "globalThis.forge = (kind, text) => { const size = Buffer.alloc(4); size.writeUInt32BE(Buffer.byteLength(text)); "
    "require('fs').writeSync(3, Buffer.concat([size, Buffer.from(kind + text)])) }"
)


@pytest.fixture(scope="module")
def listeners():
    made = Listeners()
    yield made
    made.close()


@pytest.fixture(scope="module")
def attacked(sandbox_image):
    with JavaScriptSandbox(limits=SandboxSettings(image=sandbox_image, warm=0, step_timeout=5)) as box:
        yield box


@pytest.fixture(scope="module")
def weakened(sandbox_image):
    """A box without some defences; one for all attacks that have the same removed."""
    boxes, ended = {}, ExitStack()

    def opened(without):
        if without not in boxes:
            backend = WeakenedBackend(sandbox_image, without, {"step_timeout": 10.0})
            ended.callback(backend.close)
            boxes[without] = ended.enter_context(JavaScriptSandbox(backend=backend))
        return boxes[without]

    with ended:
        yield opened


@pytest.mark.parametrize("attack", [attack for attack in ATTACKS if attack.without], ids=lambda attack: attack.name)
def test_the_attack_works_without_its_defence(attack, weakened, listeners):
    said = outcome(weakened(attack.without), attack, attack_steps(attack), listeners.places)
    assert re.search(attack.works, said), said


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_is_held_and_the_next_step_works(attack, attacked, listeners):
    met = listeners.met
    said = outcome(attacked, attack, attack_steps(attack), listeners.places)
    assert re.search(attack.held, said), said
    assert not re.search(attack.works, said), said
    assert listeners.met == met
    assert attacked("1 + 1").output == 2


def attack_steps(attack):
    return (attack.code,) if isinstance(attack.code, str) else attack.code


def test_every_attack_is_proved_or_says_why_not():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
    assert all(bool(attack.without) != bool(attack.unproved) for attack in ATTACKS)


def test_there_are_as_many_attacks_as_were_asked_for():
    assert len(ATTACKS) + len(ENDINGS) >= 50
    assert len([attack for attack in ATTACKS if attack.without]) >= 20


@pytest.mark.parametrize("code", ENDINGS.values(), ids=ENDINGS.keys())
def test_a_worker_that_ends_or_forges_is_replaced_and_the_agent_told(attacked, code):
    attacked.send_tools({"one": lambda: 1})
    attacked(FORGE)
    with pytest.raises(CodeError, match="gone"):
        attacked(code)
        attacked("await tools.one()")
    assert attacked("[typeof forge, await tools.one()]").output == ["undefined", 1]


def test_a_thread_that_takes_the_host_s_answers_away_costs_the_worker_its_life(limited_js):
    js = limited_js(step_timeout=1)
    js.send_tools({"one": lambda: 1})
    thief = "for (;;) require('fs').readSync(3, Buffer.alloc(1))"
    js(f"new (require('worker_threads').Worker)(`{thief}`, {{eval: true}})")
    told = ""
    for _ in range(4):
        try:
            js("await new Promise(done => setTimeout(done, 200)); for (let n = 0; n < 50; n++) await tools.one()")
        except CodeError as error:
            told += str(error)
    assert "gone" in told
    assert js("await tools.one()").output == 1


def test_a_step_is_still_interrupted_when_an_earlier_one_took_the_signal(attacked):
    attacked("process.removeAllListeners('SIGINT'); process.on('SIGINT', () => {}); let kept = 1")
    with attacked.within(0.5), unhurried(), pytest.raises(CodeError, match="TimeoutError"):
        attacked("for (;;);")
    assert attacked("kept").output == 1


def test_nothing_of_the_host_is_in_the_environment_the_arguments_or_the_name(attacked):
    environment, arguments, name = attacked("[process.env, process.argv, require('os').hostname()]").output
    assert set(environment) <= {
        "PATH",
        "HOME",
        "LANG",
        "HOSTNAME",
        "PYTHONDONTWRITEBYTECODE",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MPLBACKEND",
    }
    assert arguments == ["/usr/bin/node"]
    assert name == "sandbox"


def test_the_machinery_can_t_be_reached_over_the_frames_of_an_error(attacked):
    code = (
        "Error.prepareStackTrace = (_, frames) => frames.map(f => [f.getThis(), f.getFunction()]); const frames = new "
        "Error('x').stack; Error.prepareStackTrace = undefined; frames.flat().filter(it => it !== undefined && it !== "
        "globalThis && it !== null).map(it => String(it).slice(0, 60))"
    )
    assert [
        each for each in attacked(code).output if "return new Error" not in each and "async () =>" not in each
    ] == []


def test_constructors_lead_to_nothing_but_the_same_process(attacked):
    code = (
        "[tools, console, console.log, require, Promise].map(it => { const f = (it.constructor?.constructor ?? (() => "
        "{}).constructor); return f('return process.pid')() === process.pid })"
    )
    assert all(attacked(code).output)


@pytest.mark.parametrize(
    "given",
    [
        "new Proxy({}, {ownKeys() { throw new Error('trap') }})",
        "({get a() { throw new Error('trap') }})",
        "new (class { toJSON() { throw new Error('trap') } })()",
        "[new Proxy([], {get() { throw new Error('trap') }})]",
        "(() => { let d = []; for (let n = 0; n < 1e4; n++) d = [d]; return d })()",
        "'x'.repeat(2e7)",
        "Array(2e7)",
        "(() => { const round = []; round.push(round); return round })()",
        "10n ** 5000n",
        "({[Symbol.toPrimitive]() { for (;;); }, valueOf() { for (;;); }, toString() { for (;;); }})",
        "new (class extends Map { forEach() { for (;;); } get size() { for (;;); } })([[1, 2]])",
        "Object.assign([1, 2], {length: 2 ** 32 - 1})",
    ],
)
def test_arguments_and_values_that_fight_back_reach_nobody(attacked, given):
    seen = []
    attacked.send_tools({"take": lambda *args, **kwargs: seen.append((args, kwargs))})
    for code in (f"await tools.take({given}, 1)", given):
        try:
            assert len(str(attacked(code).output)) < 50_000
        except CodeError as error:
            assert not isinstance(error, SessionLost)
            assert "TimeoutError" not in str(error)
    assert all(len(str(each)) < 100 for each in seen)
    assert attacked("1").output == 1


_COUNTING = """\
import os
n = 0
while True:
    n += 1
    if n % 100_000 == 0:
        with open('new', 'w') as file: file.write(str(n))
        os.replace('new', 'n')
"""


def test_a_child_that_spins_stands_still_between_steps(own_js):
    own_js.put_file("count.py", _COUNTING.encode())
    own_js(
        "const fs = require('fs'); require('child_process').spawn('python3', ['count.py']); "
        "while (!fs.existsSync('n')) await new Promise(done => setTimeout(done, 20)); "
        "await new Promise(done => setTimeout(done, 1500))"
    )
    read = "Number(fs.readFileSync('n', 'utf8'))"
    before = own_js(read).output
    time.sleep(1)
    assert own_js(read).output - before < before / 3
