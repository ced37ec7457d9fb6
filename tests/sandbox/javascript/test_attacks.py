"""What code in JavaScript tries against its box, the host and its own worker; the container is the boundary."""

import pytest

from sandbox import CodeError, JavaScriptSandbox, SandboxSettings, SessionLost

pytestmark = pytest.mark.docker

CATCH = "try {{ {} }} catch (error) {{ return `${{error.code ?? error.name}} ${{error.message}}` }}"
EVENT = (
    "await new Promise(done => {{ const it = {}; it.on('error', error => done(error.code)); it.on('{}', () => "
    "done('reached')) }})"
)

REFUSED = {
    # files and programs
    "write to the root": ("require('fs').writeFileSync('/usr/x', '')", "EROFS|EACCES"),
    "write to a file of the system": (
        "require('fs').appendFileSync('/etc/passwd', 'x::0:0::/:/bin/sh')",
        "EROFS|EACCES",
    ),
    "run a program of its own": (
        (
            "const fs = require('fs'); fs.copyFileSync('/usr/bin/true', 't'); fs.chmodSync('t', 0o755); return "
            "require('child_process').spawnSync('./t').error.code"
        ),
        "EACCES",
    ),
    "load a native addon of its own": (
        "require('fs').copyFileSync(process.execPath, 'a.node'); process.dlopen({exports: {}}, './a.node')",
        "failed to map segment|dlopen",
    ),
    "load a library that is no addon": ("process.dlopen({exports: {}}, 'libc.so.6')", "did not self-register"),
    "a file larger than allowed": (
        "require('fs').truncateSync(require('fs').openSync('f', 'w'), 2 ** 30)",
        "EFBIG|ENOSPC|gone",
    ),
    "a device": ("require('child_process').execSync('mknod d c 1 1', {stdio: 'pipe'})", "not permitted"),
    "a mount": ("require('child_process').execSync('mount -t tmpfs x /tmp/work', {stdio: 'pipe'})", "Error"),
    "a user namespace": (
        "require('child_process').execSync('unshare -r true', {stdio: 'pipe'})",
        "Operation not permitted|unshare failed",
    ),
    "a kernel setting": ("require('fs').writeFileSync('/proc/sys/kernel/hostname', 'x')", "EROFS|EACCES"),
    "a setting of its cgroup": (
        "require('fs').writeFileSync('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1')",
        "EROFS|EACCES|ENOENT",
    ),
    # process 1 and other identities
    "the supervisor's channel": ("require('fs').openSync('/proc/1/fd/1', 'w')", "EACCES|EPERM"),
    "the supervisor's memory": ("require('fs').readFileSync('/proc/1/mem')", "EACCES|EPERM"),
    "the supervisor's environment": ("require('fs').readFileSync('/proc/1/environ')", "EACCES|EPERM"),
    "a signal to process 1": ("process.kill(1, 'SIGKILL')", "EPERM"),
    "a signal to all": ("process.kill(-1, 'SIGKILL')", "EPERM"),
    "a debugger in process 1": ("process._debugProcess(1)", "EPERM|not permitted"),
    "niceness of process 1": ("require('os').setPriority(1, 19)", "EPERM|EACCES"),
    "a better niceness": ("require('os').setPriority(0, -20)", "EPERM|EACCES"),
    "to be root": ("process.setuid(0)", "EPERM"),
    "to be of root's group": ("process.setgid(0)", "EPERM"),
    "more groups": ("process.setgroups([0])", "EPERM"),
    "more memory for V8 than the box has": (
        (
            "require('v8').setFlagsFromString('--max-old-space-size=9999'); const held = []; while (true) "
            "held.push(Buffer.alloc(1e7, 1))"
        ),
        "memory",
    ),
    # the network
    "an HTTP server": (EVENT.format("require('http').createServer().listen(0)", "listening"), "EAFNOSUPPORT"),
    "a TCP connection": (EVENT.format("require('net').connect(80, '93.184.216.34')", "connect"), "EAFNOSUPPORT"),
    "a TCP connection over IPv6": (EVENT.format("require('net').connect(80, '::1')", "connect"), "EAFNOSUPPORT"),
    "the engine's gateway": (EVENT.format("require('net').connect(2375, '172.17.0.1')", "connect"), "EAFNOSUPPORT"),
    "the address of cloud metadata": (
        EVENT.format("require('http').get('http://169.254.169.254/latest/')", "response"),
        "EAFNOSUPPORT",
    ),
    "a UDP socket": (
        (
            "await new Promise((done, no) => { const it = require('dgram').createSocket('udp4'); it.on('error', no); "
            "it.bind(0, done) })"
        ),
        "EAFNOSUPPORT",
    ),
    "fetch": ("await fetch('http://93.184.216.34/')", "fetch failed"),
    "a name, by the system": ("await require('dns').promises.lookup('example.org')", "EAI_AGAIN|ENOTFOUND"),
    "a name, by a resolver of its own": (
        (
            "const own = new (require('dns').promises.Resolver)({timeout: 300, tries: 1}); "
            "own.setServers(['9.9.9.9']); await own.resolve4('example.org')"
        ),
        "ECONNREFUSED|ETIMEOUT|ESERVFAIL",
    ),
    "the engine's socket": (EVENT.format("require('net').connect('/var/run/docker.sock')", "connect"), "ENOENT"),
    "a TLS connection": (EVENT.format("require('tls').connect(443, '93.184.216.34')", "secureConnect"), "EAFNOSUPPORT"),
    "an inspector that listens": (
        "require('inspector').open(9229, '127.0.0.1'); return String(require('inspector').url())",
        "undefined|Error",
    ),
}


@pytest.fixture(scope="module")
def attacked(sandbox_image):
    with JavaScriptSandbox(limits=SandboxSettings(image=sandbox_image, warm=0, step_timeout=5)) as box:
        yield box


@pytest.mark.parametrize(("attempt", "answer"), REFUSED.values(), ids=REFUSED.keys())
def test_the_box_refuses(attacked, attempt, answer):
    import re

    attempt = (
        attempt if "return" in attempt or not attempt.startswith("await new Promise(done") else f"return {attempt}"
    )
    try:
        said = attacked(CATCH.format(attempt)).output
    except CodeError as error:
        said = str(error)
    assert re.search(answer, str(said)), said
    assert attacked("1").output == 1


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
    with pytest.raises(CodeError, match="TimeoutError"):
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


def test_a_child_that_spins_stands_still_between_steps(own_js):
    import time

    own_js(
        "const child = require('child_process').spawn('python3', ['-c', 'n = 0\\nwhile "
        "True:\\n  n "
        '+= 1\\n  if n % 100000 == 0: open("n", "w").write(str(n))\']); await new '
        "Promise(done => "
        "setTimeout(done, 1500))"
    )
    read = "Number(require('fs').readFileSync('n', 'utf8'))"
    before = own_js(read).output
    time.sleep(1)
    assert own_js(read).output - before < before / 3
