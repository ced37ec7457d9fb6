"""Attacks on what the host reads and writes among the files of a box."""

from tests.sandbox.docker.attacks.attack import Attack

_LINKS = ("no links",)
_REFUSED = "can't be read|no room for|not a directory|symbolic"

ATTACKS = [
    Attack(
        "a link to what only process 1 may read",
        "os.symlink('/proc/self/maps', 'x')\nopen('x').close()",
        _LINKS,
        then=lambda box: "reached" * (b"-" in box.get_file("x")),
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "a folder that is a link",
        "os.symlink('/proc/self', 'd')",
        _LINKS,
        then=lambda box: "reached" * (b"-" in box.get_file("d/maps")),
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "write through a folder that is a link",
        "os.mkdir('/tmp/out')\nos.symlink('/tmp/out', 'd')",
        _LINKS,
        then=lambda box: (box.put_file("d/x", b"1"), box("'reached' * os.path.exists('/tmp/out/x')").output)[1],
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "a folder above its own",
        "os.symlink('..', 'd')\nopen('/tmp/secret', 'w').write('reached')",
        _LINKS,
        then=lambda box: box.get_file("d/secret"),
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "a device instead of a file",
        "os.symlink('/dev/zero', 'x')",
        (*_LINKS, "regular files"),
        then=lambda box: "reached" * (box.get_file("x")[:1] == b"\0"),
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "a pipe instead of a file",
        "os.mkfifo('x')",
        ("regular files",),
        works="Illegal seek",
        then=lambda box: box.get_file("x"),
        held="no regular file",
        litters="worker",
    ),
    Attack(
        "a folder instead of a file",
        "os.mkdir('folder')",
        unproved="a folder can't be read at all",
        then=lambda box: box.get_file("folder"),
        held="no regular file",
    ),
    Attack(
        "a socket instead of a file",
        "socket.socket(socket.AF_UNIX).bind('x')",
        unproved="a socket can't be opened at all",
        then=lambda box: box.get_file("x"),
        held=_REFUSED,
        litters="worker",
    ),
    Attack(
        "a link instead of a file that is written",
        "os.mkdir('/tmp/out')\nos.symlink('/tmp/out/x', 'x')",
        unproved="a name is always made anew",
        then=lambda box: (box.put_file("x", b"1"), box("os.path.exists('/tmp/out/x')").output)[1],
        held="False",
        litters="worker",
    ),
    Attack(
        "a ring of links among the names",
        "os.symlink('.', 'ring')\nopen('a', 'w').close()",
        unproved="names are those of the folders themselves",
        then=lambda box: box.list_files(),
        held=r"^\['a'\]$",
        litters="worker",
    ),
    Attack(
        "names nested without end",
        "for _ in range(1000):\n    os.mkdir('d')\n    os.chdir('d')\nopen('f', 'w').close()\nos.chdir('/tmp/work')",
        unproved="takes time and nothing else",
        then=lambda box: len(box.list_files()),
        held="^0$",
        litters="worker",
    ),
    Attack(
        "names that are no text",
        "open(b'\\xff\\xfe', 'w').close()\nopen('a\\nb', 'w').close()\nopen('ok', 'w').close()",
        unproved="such names have no way to be asked for",
        then=lambda box: box.list_files(),
        held=r"^\['ok'\]$",
        litters="worker",
    ),
]
