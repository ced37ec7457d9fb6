"""Memory, output, files, processes: what code may use, and what happens above it."""

import pytest

from sandbox import CodeError, FileRefused, JavaScriptSandbox, SandboxUnavailable, SessionLost

pytestmark = pytest.mark.docker

MEMORY = {
    "objects": "const held = []; while (true) held.push(new Array(1e5).fill(1.5))",
    "text": "const held = []; while (true) held.push(Buffer.alloc(1e6, 120).toString())",
    "buffers": "const held = []; while (true) held.push(Buffer.alloc(1e7, 1))",
    "typed arrays": "const held = []; while (true) held.push(new Float64Array(1e6).fill(1))",
    "shared memory": (
        "const held = []; while (true) new Uint8Array(held[held.push(new SharedArrayBuffer(1e7)) - 1]).fill(1)"
    ),
    "memory of WebAssembly": (
        "const held = []; while (true) new Uint8Array(held[held.push(new WebAssembly.Memory({initial: 160})) - "
        "1].buffer).fill(1)"
    ),
    "a map": "const held = new Map(); for (let n = 0; true; n++) held.set(n, {n})",
    "threads that fill theirs": (
        "for (let n = 0; n < 8; n++) new (require('worker_threads').Worker)('const h = []; while (true) "
        "h.push(Buffer.alloc(1e7, 1))', {eval: true}); await new Promise(() => setInterval(() => {}, 100))"
    ),
}


@pytest.mark.parametrize("code", MEMORY.values(), ids=MEMORY.keys())
def test_more_memory_than_allowed_ends_the_worker_or_is_an_error(limited_js, code):
    js = limited_js(memory=200 << 20, step_timeout=20)
    with pytest.raises(
        CodeError, match="memory|Array buffer allocation failed|Invalid array|maximum size|could not allocate"
    ):
        js(code)
    assert js("1").output == 1


def test_what_v8_prints_of_its_end_is_left_out(limited_js):
    js = limited_js(memory=160 << 20)
    with pytest.raises(SessionLost, match="memory was full"):
        js("console.log('before'); const held = []; while (true) held.push(new Array(1e5).fill(1.5))")
    assert js.state["_print_outputs"].strip() == "before"


def test_a_value_of_too_much_memory_is_refused_by_the_language(js):
    with pytest.raises(CodeError, match="RangeError"):
        js("'x'.repeat(2 ** 30)")
    with pytest.raises(CodeError, match="RangeError"):
        js("Buffer.alloc(2 ** 40)")


def test_what_is_too_much_once_it_is_written_is_told_and_nothing_is_lost(own_js):
    own_js.send_tools({"size": lambda *values: sum(len(value) for value in values)})
    own_js("const kept = 1, escaped = '\\0'.repeat(4e6)")
    assert "bytes on its way" in own_js("escaped").output
    for call in ("escaped", "...Array(3).fill('x'.repeat(4e6))"):
        with pytest.raises(CodeError, match=r"TypeError: size\(\) can't be given this: .* bytes on its way"):
            own_js(f"await tools.size({call})")
    assert own_js("await tools.size(...Array(2).fill('x'.repeat(4e6))) + kept").output == 8_000_001


def test_garbage_does_not_count(limited_js):
    js = limited_js(memory=200 << 20)
    assert js("let n = 0; for (; n < 500; n++) new Array(1e5).fill(n + 0.5); n").output == 500


def test_too_little_memory_for_node_is_said(limited_js):
    with pytest.raises(SandboxUnavailable, match="raise it"):
        limited_js(memory=64 << 20).start()


def test_node_works_with_the_least_memory_it_is_given(limited_js):
    assert limited_js(memory=128 << 20)("const a = Array(1e5).fill(1); a.length").output == 100_000


def test_output_above_the_limit_is_counted_and_not_kept(limited_js):
    js = limited_js(output_limit=1_000)
    printed = js("for (let n = 0; n < 10_000; n++) console.log('0123456789'); 'end'")
    assert printed.output == "end"
    assert len(printed.logs) < 1_100
    assert "109,000 more bytes" in printed.logs


def test_a_full_folder_is_an_error_and_the_session_goes_on(limited_js):
    js = limited_js(files_limit=8 << 20)
    with pytest.raises(CodeError, match="ENOSPC"):
        js("const fs = require('fs'); for (let n = 0; ; n++) fs.writeFileSync(`f${n}`, Buffer.alloc(1 << 20))")
    assert js("fs.readdirSync('.').forEach(name => fs.unlinkSync(name)); fs.writeFileSync('a', 'x'); 1").output == 1


def test_a_file_larger_than_allowed_is_an_error(limited_js):
    js = limited_js(file_limit=1 << 20)
    with pytest.raises(CodeError, match="EFBIG|gone"):
        js("require('fs').writeFileSync('big', Buffer.alloc(2 << 20))")
    assert js("1").output == 1


def test_more_files_than_allowed_are_an_error(js):
    with pytest.raises(CodeError, match="ENOSPC"):
        js("const many = require('fs'); for (let n = 0; ; n++) many.writeFileSync(`many${n}`, '')")
    assert js("many.readdirSync('.').forEach(name => many.unlinkSync(name)); 1").output == 1


def test_more_processes_than_allowed_are_an_error(own_js):
    code = (
        "const made = []; const {spawn} = require('child_process'); for (let n = 0; n < 200; n++) made.push(await new "
        "Promise(done => { const child = spawn('sleep', ['60'], {stdio: 'ignore'}); child.on('error', e => "
        "done(e.code)); child.on('spawn', () => done('spawned')) })); made.filter(how => how !== 'spawned')[0]"
    )
    assert own_js(code).output == "EAGAIN"
    assert own_js("1").output == 1


def test_more_threads_than_allowed_are_an_error_or_cost_the_worker(limited_js):
    own_js = limited_js(processes=32)
    code = (
        "for (let n = 0; n < 40; n++) new (require('worker_threads').Worker)('setInterval(() => {}, 1000)', {eval: "
        "true}); await new Promise(done => setTimeout(done, 3000))"
    )
    with pytest.raises(CodeError):
        own_js(code)
    assert own_js("1").output == 1


def test_a_fork_bomb_is_ended_and_the_next_step_works(limited_js):
    js = limited_js(step_timeout=2)
    with pytest.raises(CodeError):
        js(
            "require('fs').writeFileSync('b.js', `for (;;) try { require('child_process').spawn('node', ['b.js'], "
            "{detached: true}).on('error', () => {}) } catch {}`); require('./b.js')"
        )
    assert js("1").output == 1


def test_more_descriptors_than_allowed_are_an_error(own_js):
    with pytest.raises(CodeError, match="EMFILE|gone"):
        own_js("for (;;) require('fs').openSync('/dev/null')")
    assert own_js("1").output in (1, None)


def test_a_deep_recursion_is_an_error_whichever_way(js):
    for code in (
        "eval('['.repeat(1e5) + ']'.repeat(1e5))",
        "const f = () => f() + 1; f()",
        "let d = []; for (let n = 0; n < 1e5; n++) d = [d]; JSON.stringify(d)",
    ):
        with pytest.raises(CodeError, match="RangeError"):
            js(code)


def test_files_are_put_read_and_listed(own_js):
    own_js.put_file("in/a.txt", "é".encode())
    own_js("const fs = require('fs'); fs.writeFileSync('out.txt', fs.readFileSync('in/a.txt', 'utf8') + '!')")
    assert own_js.get_file("out.txt") == "é!".encode()
    assert own_js.list_files() == ["in/a.txt", "out.txt"]


@pytest.mark.parametrize(
    "make",
    [
        "require('fs').symlinkSync('/etc/passwd', 'x')",
        "require('child_process').execSync('mkfifo x')",
        "require('fs').mkdirSync('x')",
    ],
)
def test_what_is_no_regular_file_is_never_read(backend, make):
    with JavaScriptSandbox(backend=backend) as js:
        js(make)
        with pytest.raises(FileRefused):
            js.get_file("x")


def test_a_session_that_was_lost_gets_its_files_tools_and_variables_again_where_the_host_has_them(own_js):
    own_js.send_tools({"one": lambda: 1})
    own_js.send_variables({"given": 2})
    own_js.put_file("a.txt", b"3")
    with pytest.raises(SessionLost, match="gone"):
        own_js("let lost = 4; process.kill(process.pid, 'SIGKILL'); await new Promise(done => setTimeout(done, 1000))")
    assert own_js("[await tools.one(), given, require('fs').readFileSync('a.txt', 'utf8'), typeof lost]").output == [
        1,
        2,
        "3",
        "undefined",
    ]


@pytest.mark.exhaustive  # each takes a container and a start of Node; what a session holds is Python's
def test_nothing_is_left_of_a_session(backend):
    from tests.sandbox.leaks import IDLE, assert_settled, usage

    def run():
        with JavaScriptSandbox(backend=backend) as js:
            assert js("1").output == 1

    run()
    before = usage()
    for _ in range(IDLE + 3):
        run()
    assert_settled(before, spare=IDLE)
