"""Ways out of a box that JavaScript knows: a table for `test_attacks`."""

from tests.sandbox.docker.attacks.attack import Attack

_FILTER, _NETWORK, _HIDING = "the worker's filter", "no network", "hiding"
_OUT = (_FILTER, _NETWORK)
_ROOT = ("the read-only root", "a user without rights")
_RIGHTS = ("a user without rights", "no capabilities")
_NOEXEC = ("no execution of files",)
_REFUSED = "EAFNOSUPPORT|fetch failed"
_DENIED = "EACCES|EPERM|EROFS|not permitted"
_SAME_MEANS = "its means are those of another row, aimed at an address that a test may not reach"
_KERNEL = "what it changes is the host's own kernel"


def _asked(thing: str, event: str) -> str:
    """What an emitter says first: that it is there, some text, or why not."""
    return f"""\
await new Promise(done => {{
  const it = {thing}
  it.on('error', error => done(error.code))
  it.on('{event}', said => done(said?.length ? String(said) : 'reached'))
}})"""


ATTACKS = [
    # files and programs
    Attack("write to the root", "require('fs').writeFileSync('/usr/x', ''); 'reached'", _ROOT, held=_DENIED),
    Attack(
        "add a user to the system",
        "require('fs').appendFileSync('/etc/passwd', 'x::0:0::/:'); 'reached'",
        _ROOT,
        held=_DENIED,
    ),
    Attack(
        "run a program of its own",
        (
            "const fs = require('fs'); fs.copyFileSync('/usr/bin/true', 't'); fs.chmodSync('t', "
            "0o755); const ran = require('child_process').spawnSync('./t'); ran.error?.code ?? "
            "(ran.status === 0 ? 'reached' : 'no')"
        ),
        _NOEXEC,
        held="EACCES",
    ),
    Attack(
        "load a native addon of its own",
        (
            "const made = require('fs'); "
            "const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'; "
            "made.copyFileSync(made.realpathSync(`/lib/${machine}-linux-gnu/libz.so.1`), 'a.node'); "
            "process.dlopen({exports: {}}, './a.node')"
        ),
        _NOEXEC,
        works="self-register",
        held="failed to map segment",
    ),
    Attack(
        "make a file larger than allowed",
        (
            "const big = require('fs'); big.truncateSync(big.openSync('f', 'w'), 2 ** 25); "
            "big.unlinkSync('f'); 'reached'"
        ),
        ("the limit of one file",),
        held="EFBIG|gone",
    ),
    Attack(
        "make a device",
        "require('child_process').execSync('mknod d c 1 1', {stdio: 'pipe'}); 'reached'",
        _RIGHTS,
        held="not permitted|Command failed",
    ),
    Attack(
        "change a setting of the kernel",
        "require('fs').writeFileSync('/proc/sys/kernel/hostname', 'x'); 'reached'",
        held=_DENIED,
        unproved=_KERNEL,
    ),
    Attack(
        "raise the limits of its cgroup",
        ("require('fs').writeFileSync('/sys/fs/cgroup/memory/memory.limit_in_bytes', '-1'); 'reached'"),
        held=f"{_DENIED}|ENOENT",
        unproved=_KERNEL,
    ),
    # process 1 and other identities
    Attack(
        "open the supervisor's channel",
        "require('fs').openSync('/proc/1/fd/1', 'w'); 'reached'",
        (_HIDING, "a socket as the way"),
        held=_DENIED,
    ),
    Attack(
        "read the supervisor's memory",
        "require('fs').openSync('/proc/1/mem', 'r'); 'reached'",
        (_HIDING,),
        held=_DENIED,
    ),
    Attack(
        "read the supervisor's environment",
        "require('fs').readFileSync('/proc/1/environ'); 'reached'",
        (_HIDING,),
        held=_DENIED,
    ),
    Attack("signal process 1", "process.kill(1, 'SIGCONT'); 'reached'", (_FILTER,), held="EPERM"),
    Attack("signal all processes", "process.kill(-1, 0); 'reached'", (_FILTER,), works="reached|ESRCH", held="EPERM"),
    Attack("start a debugger in process 1", "process._debugProcess(1); 'reached'", (_FILTER,), held=_DENIED),
    Attack("starve process 1", "require('os').setPriority(1, 19); 'reached'", (_FILTER,), held=_DENIED),
    Attack(
        "run before process 1",
        "require('os').setPriority(0, -20); 'reached'",
        held=_DENIED,
        unproved="no box has ever had the right to it",
    ),
    Attack("be of more groups", "process.setgroups([12345]); 'reached'", _RIGHTS, held="EPERM"),
    Attack("be of another group", "process.setgid(12345); 'reached'", _RIGHTS, held="EPERM"),
    # Last of its box, which has no rights after it.
    Attack("be another user", "process.setuid(12345); 'reached'", _RIGHTS, held="EPERM"),
    # the network
    Attack(
        "listen for requests",
        _asked("require('http').createServer().listen(0, '127.0.0.1')", "listening"),
        (_FILTER,),
        held=_REFUSED,
    ),
    Attack("connect to the host", _asked("require('net').connect(PORT, '127.0.0.1')", "data"), _OUT, held=_REFUSED),
    Attack(
        "send a datagram to the host",
        (
            "const it = require('dgram').createSocket('udp4'); await new Promise((done, no) => { "
            "it.on('error', no); it.on('message', said => done(String(said))); it.send('x', "
            "DATAGRAMS, '127.0.0.1') })"
        ),
        _OUT,
        held=_REFUSED,
    ),
    Attack(
        "ask the host by HTTP",
        _asked("require('http').get('http://127.0.0.1:PORT/')", "response"),
        _OUT,
        works="HPE_INVALID|reached",
        held=_REFUSED,
    ),
    Attack(
        "fetch a page of the host",
        (
            "await fetch('http://127.0.0.1:PORT/').then(() => 'reached', error => "
            "`${error.message} ${error.cause?.code}`)"
        ),
        _OUT,
        works="HPE_INVALID|reached",
        held="EAFNOSUPPORT",
    ),
    Attack(
        "listen for a debugger",
        (
            "const inspector = require('inspector'); inspector.open(0, '127.0.0.1'); const url = "
            "inspector.url(); if (url) inspector.close(); url ? 'reached' : 'no'"
        ),
        (_FILTER,),
        held="no",
    ),
    Attack(
        "connect by IPv6",
        _asked("require('net').connect(80, '::1')", "connect"),
        (_FILTER,),
        works="ECONNREFUSED|EADDRNOTAVAIL|ENETUNREACH",
        held=_REFUSED,
    ),
    Attack(
        "ask for a name by a resolver of its own",
        (
            "const own = new (require('dns').promises.Resolver)({timeout: 300, tries: 1}); "
            "own.setServers(['127.0.0.1:1']); await own.resolve4('example.org').catch(error => "
            "error.code)"
        ),
        held="ECONNREFUSED|ETIMEOUT|ESERVFAIL",
        unproved=_SAME_MEANS,
    ),
    Attack(
        "ask the system for a name",
        "await require('dns').promises.lookup('example.org').catch(error => error.code)",
        held="EAI_AGAIN|ENOTFOUND",
        unproved=_SAME_MEANS,
    ),
    Attack(
        "reach the engine's gateway",
        _asked("require('net').connect(2375, '172.17.0.1')", "connect"),
        held=_REFUSED,
        unproved=_SAME_MEANS,
    ),
    Attack(
        "reach the address of cloud metadata",
        _asked("require('http').get('http://169.254.169.254/latest/')", "response"),
        held=_REFUSED,
        unproved=_SAME_MEANS,
    ),
    Attack(
        "reach the engine's socket",
        _asked("require('net').connect('/var/run/docker.sock')", "connect"),
        held="ENOENT",
        unproved="no box has ever had it",
    ),
]
