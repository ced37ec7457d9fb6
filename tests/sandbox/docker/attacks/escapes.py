"""Attacks that reach for another root, other rights, other files, or a program of their own."""

from tests.sandbox.docker.attacks.attack import Attack

_FILTER, _ENGINE = "the worker's filter", "the engine's filter"
_BOTH = (_FILTER, _ENGINE)
_ROOT = ("a user without rights", "no capabilities")
_NOEXEC = ("no execution of files",)

_IN_A_NAMESPACE = "def into():\n    become_root_of_its_own({})\n    {}\nchild(into)"
_CLONE = """\
result = call(56, 220, {} | 17, 0, 0, 0, 0)
if os.getpid() != here: os._exit(0)
result"""
_CLONE3 = """\
arguments = (ctypes.c_uint64 * 11)({}, 0, 0, 0, 17)
result = call(435, 435, ctypes.byref(arguments), 88)
if os.getpid() != here: os._exit(0)
result"""
_SETUID = """\
import shutil, subprocess
shutil.copy('/usr/bin/id', '/usr/bin/raised')
os.chmod('/usr/bin/raised', 0o4755)
def into():
    os.setuid(12345)
    said = subprocess.run(['/usr/bin/raised'], capture_output=True, text=True).stdout
    return 'reached' if 'euid=0' in said else said
child(into)"""
_COPY = "import shutil, subprocess\nshutil.copy('/usr/bin/true', 'mine')\nos.chmod('mine', 0o700)\n"
_OWN_LIBRARY = """\
import glob, shutil
shutil.copy(glob.glob('/lib/*-linux-gnu/libutil.so.1')[0], 'mine.so')
ctypes.CDLL('./mine.so')
'reached'"""
_OWN_LOADER = _COPY + (
    "import glob\nloader = (glob.glob('/lib64/ld-linux*') + glob.glob('/lib/ld-linux*'))[0]\n"
    "subprocess.run([loader, './mine'], check=True)\n'reached'"
)
_NAMELESS = """\
fd = os.memfd_create('x')
os.write(fd, open('/usr/bin/true', 'rb').read())
def into(): os.execv(f'/proc/self/fd/{fd}', ['x'])
pid = os.fork()
if pid == 0:
    try: into()
    finally: os._exit(9)
'reached' * (os.waitpid(pid, 0)[1] == 0)"""
_EXECUTED = "def into(): asked(libc.syscall(322 if os.uname().machine == 'x86_64' else 281, os.open('/usr/bin/true', 0), b'', (ctypes.c_char_p * 2)(b'x', None), (ctypes.c_char_p * 1)(None), 0x1000)); return errno.errorcode[ctypes.get_errno()]\nchild(into) or 'reached'"
_HANDLE = """\
handle = ctypes.create_string_buffer(struct.pack('Ii', 120, 0) + bytes(120))
call(303, 264, -100, b'/tmp/work', handle, ctypes.byref(ctypes.c_int()), 0)"""
_OLD_TABLE = """\
import mmap
code = bytes.fromhex('53 b8 14 00 00 00 cd 80 5b c3')  # getpid, as 32-bit programs ask for it
page = mmap.mmap(-1, 4096, prot=7)
page.write(code)
ask = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
'reached' * (ask() == os.getpid())"""

ATTACKS = [
    Attack("a user namespace", "child(lambda: become_root_of_its_own() or 'reached')", _BOTH),
    Attack("a process in a namespace", "here = os.getpid()\n" + _CLONE.format("0x10000000"), _BOTH),
    Attack(
        "a process in a namespace, the new way",
        "here = os.getpid()\n" + _CLONE3.format("0x10000000"),
        _BOTH,
        held="ENOSYS",
    ),
    Attack("a process in a control group", "here = os.getpid()\n" + _CLONE3.format("0"), _BOTH, held="ENOSYS"),
    Attack("a network of its own", _IN_A_NAMESPACE.format("0x40000000", "return 'reached'"), _BOTH),
    Attack(
        "enter a namespace",
        _IN_A_NAMESPACE.format("0x04000000", "return asked(libc.setns(os.open('/proc/self/ns/uts', 0), 0))"),
        _BOTH,
    ),
    Attack(
        "mount", _IN_A_NAMESPACE.format("0x20000", "return asked(libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0))"), _BOTH
    ),
    Attack(
        "mount without a namespace",
        "asked(libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0))",
        unproved="needs the right to change the host's mounts",
    ),
    Attack(
        "unmount",
        _IN_A_NAMESPACE.format(
            "0x20000", "libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0); return asked(libc.umount2(b'/tmp', 2))"
        ),
        _BOTH,
    ),
    Attack("mount, the new way", _IN_A_NAMESPACE.format("0x20000", "return call(430, 430, b'tmpfs', 0)"), _BOTH),
    Attack("a tree of mounts", _IN_A_NAMESPACE.format("0x20000", "return call(428, 428, -100, b'/', 0x8001)"), _BOTH),
    Attack("another root for one process", _IN_A_NAMESPACE.format("0", "return asked(libc.chroot(b'/tmp'))"), _BOTH),
    Attack("another root as root", "child(lambda: os.chroot('/tmp') or 'reached')", (_FILTER, *_ROOT)),
    Attack(
        "another root for all",
        _IN_A_NAMESPACE.format(
            "0x20000", "libc.mount(b'x', b'/tmp', b'tmpfs', 0, 0); os.chdir('/tmp'); return call(155, 41, b'.', b'.')"
        ),
        _BOTH,
    ),
    Attack(
        "another name for the machine",
        _IN_A_NAMESPACE.format("0x04000000", "return asked(libc.sethostname(b'x', 1))"),
        _BOTH,
    ),
    Attack("a handle of a file", _HANDLE, _BOTH),
    Attack(
        "open a file by its handle",
        "call(304, 265, os.open('/', 0), ctypes.create_string_buffer(128), 0)",
        unproved="needs the right to read every file of the host",
    ),
    Attack("watch a file system", "call(300, 262, 0x200, 0)", _BOTH),
    Attack(
        "a setuid program of its own",
        _SETUID,
        (*_BOTH, *_ROOT, "no new privileges", "the read-only root"),
        held="PermissionError|Read-only",
    ),
    Attack("become another user", "child(lambda: os.setuid(4321) or 'reached')", _ROOT),
    Attack("become another group", "child(lambda: os.setgid(4321) or 'reached')", _ROOT),
    Attack("give files to another user", "open('f', 'w')\nos.chown('f', 4321, -1)\n'reached'", _ROOT),
    Attack("a device", "os.mknod('null', 0o20666, os.makedev(1, 3))\n'reached'", _ROOT),
    Attack(
        "write to the image",
        "open('/usr/bin/x', 'w')\n'reached'",
        ("the read-only root", "a user without rights"),
        held="Read-only|PermissionError",
    ),
    Attack(
        "replace the interpreter's modules",
        "open('/usr/lib/python3.11/os.py', 'a')\n'reached'",
        ("the read-only root", "a user without rights"),
        held="Read-only|PermissionError",
    ),
    Attack(
        "write outside of /tmp as root",
        "open('/root/x', 'w')\n'reached'",
        ("the read-only root", "a user without rights"),
        held="Read-only|PermissionError",
    ),
    Attack(
        "change a setting of the kernel",
        "open('/proc/sys/kernel/hostname', 'w').write('sandbox')\n'reached'",
        ("the read-only kernel settings", "a user without rights"),
        held="Read-only|PermissionError",
    ),
    Attack(
        "change its control group",
        "open('/sys/fs/cgroup/' + ('cgroup.procs' if os.path.exists('/sys/fs/cgroup/cgroup.procs') else 'pids/cgroup.procs'), 'w')",
        held="Read-only|PermissionError",
        unproved="needs a box that may change the host's groups",
    ),
    Attack(
        "see the keys of the kernel",
        "'reached' * bool(open('/proc/keys').readlines())",
        ("the masked paths",),
        held="^$",
        where="keys",
    ),
    Attack(
        "see the firmware",
        "'reached' * bool(os.listdir('/sys/firmware'))",
        ("the masked paths",),
        held="^$",
        where="firmware",
    ),
    Attack(
        "see the host's processes",
        "'reached' * (len([n for n in os.listdir('/proc') if n.isdigit()]) > 8)",
        held="^$",
        unproved="process 1 signals all it sees, which would be the host's",
    ),
    Attack("run a file of its own", _COPY + "subprocess.run(['./mine'], check=True)\n'reached'", _NOEXEC),
    Attack("load a library of its own", _OWN_LIBRARY, _NOEXEC, held="failed to map|not permitted|OSError"),
    Attack("run a file of its own by the loader", _OWN_LOADER, _NOEXEC, held="CalledProcessError"),
    Attack("run a file without a name", _NAMELESS, (_FILTER,)),
    Attack("run a file by its descriptor", _EXECUTED, (_FILTER,)),
    Attack("memory that files don't count", "open('/dev/shm/x', 'w')\n'reached'", ("no shared memory",), held="Error"),
    Attack("calls of 32-bit programs", _OLD_TABLE, (_FILTER,), held="gone", lost=True, where="i386"),
    Attack("calls of the x32 table", "call(0x40000000 + 39, 999, 0)", _BOTH, held="ENOSYS", where="x32"),
    Attack(
        "a call newer than the filter", "call(452, 452, -100, b'.', 0o700, 0)", _BOTH, held="ENOSYS", where="fchmodat2"
    ),
]
