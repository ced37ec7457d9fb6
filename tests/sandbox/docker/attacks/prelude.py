"""What attacks share: the first thing that runs in a box of theirs."""

PRELUDE = """\
import ctypes, errno, os, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def asked(result):
    return 'reached' if result >= 0 else errno.errorcode[ctypes.get_errno()]

def call(x86, arm, *arguments):
    'A system call by its number on each machine.'
    return asked(libc.syscall(x86 if os.uname().machine == 'x86_64' else arm, *arguments))

def child(function):
    'What a function returns in a process of its own.'
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = function()
        except OSError as error:
            said = errno.errorcode[error.errno]
        except BaseException as error:
            said = repr(error)
        os.write(theirs, str(said).encode())
        os._exit(0)
    os.close(theirs)
    said = os.read(ours, 1000).decode()
    os.close(ours)
    os.waitpid(pid, 0)
    return said

def become_root_of_its_own(flags=0):
    'In a user namespace of its own, the way to every mount and to much of the kernel.'
    if libc.unshare(0x10000000 | flags) < 0:
        raise OSError(ctypes.get_errno(), 'unshare')
"""
