"""Code that reaches for the host, in its own module so that it can also be tried without any sandbox.

Each piece shows what it got: it leaves `{marker}` behind, connects to `{port}`, calls a tool, or shows text of it.
"""

import contextlib
import socket
import subprocess
import sys

import pytest

from sandbox import CodeError

ATTACKS = {
    "read a file": "open({secret!r}).read()",
    "read by pathlib": "from pathlib import Path\nPath({secret!r}).read_text()",
    "read by a relative path": "open('../' * 20 + {secret!r}).read()",
    "list a folder": "import os\nos.listdir(os.path.dirname({secret!r}))",
    "run a program": "import subprocess\nsubprocess.run(['touch', {marker!r}])",
    "run a shell": "import os\nos.system('touch ' + {marker!r})",
    "spawn": "import os\nos.waitpid(os.posix_spawn('/usr/bin/touch', ['touch', {marker!r}], {{}}), 0)",
    "fork": "import os\nif os.fork() == 0:\n    open({marker!r}, 'w')\n    os._exit(0)\nos.wait()",
    "write a file": "open({marker!r}, 'w').write('x')",
    "write by pathlib": "from pathlib import Path\nPath({marker!r}).write_text('x')",
    "make a folder": "import os\nos.mkdir({marker!r})",
    "rename out": "import os\nopen('a', 'w').write('x')\nos.rename('a', {marker!r})",
    "connect": "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "fetch": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}', timeout=0.2)",
    "ctypes": "import ctypes\nctypes.CDLL(None).system(b'touch ' + {marker!r}.encode())",
    "importlib": "import importlib\nimportlib.import_module('os').system('touch ' + {marker!r})",
    "__import__": "__import__('os').system('touch ' + {marker!r})",
    "builtins": "print.__self__.__import__('os').system('touch ' + {marker!r})",
    "exec": "exec('import os; os.system(\"touch {marker}\")')",
    "subclasses": (
        "import subprocess\n"
        "popen = [c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]\n"
        "popen(['touch', {marker!r}]).wait()"
    ),
    "globals of a tool": "tool.__globals__['__builtins__'].open({marker!r}, 'w')",
    "closure of a tool": "tool.__closure__[0].cell_contents.append('reached')",
    "self of a tool": "record.__self__.append('reached')",
    "format string": "'{{0.__globals__}}'.format(tool)",
    "frame": "import sys\nstr(sys._getframe().f_globals.get('tool').__globals__)",
    "traceback": (
        "try:\n    1 / 0\n"
        "except Exception as e:\n    r = str(e.__traceback__.tb_frame.f_globals['tool'].__globals__)\nr"
    ),
    "pickle": "import pickle\npickle.loads(b'cos\\nsystem\\n(V' + b'touch ' + {marker!r}.encode() + b'\\ntR.')",
}
HOST_TEXT = ("canary-of-the-host", "host_secret")

UNHELD = """\
import ast, sys

def make(calls):
    def tool():
        calls.append("called")
    return tool

canary = "canary-of-the-host"
calls = []
tool, record = make(calls), calls.append
tree = ast.parse(sys.argv[1])
if isinstance(tree.body[-1], ast.Expr):
    tree.body[-1] = ast.Assign([ast.Name("last", ast.Store())], tree.body[-1].value)
try:
    exec(compile(ast.fix_missing_locations(tree), "attack", "exec"))
    print(globals().get("last"))
finally:
    print(calls)
"""


def connected(server):
    try:
        server.accept()[0].close()
    except TimeoutError:
        return False
    return True


@pytest.fixture
def server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.fixture
def secret(tmp_path):
    """A file of the host; a backend may have files of its own by the usual names."""
    file = tmp_path / "host_secret"
    file.write_text(HOST_TEXT[0])
    return file


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_works_where_nothing_holds_it_back(tmp_path, secret, server, name):
    marker = tmp_path / "reached"
    code = ATTACKS[name].format(marker=str(marker), secret=str(secret), port=server.getsockname()[1])
    done = subprocess.run(
        [sys.executable, "-c", UNHELD, code], capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False
    )
    told = any(text in done.stdout for text in (*HOST_TEXT, "reached", "called"))
    assert marker.exists() or connected(server) or told, done.stderr


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_changes_and_shows_nothing_from_inside_a_sandbox(open_box, tmp_path, secret, server, name):
    marker, calls = tmp_path / "reached", []

    def tool():
        calls.append("called")

    box = open_box({"tool": tool, "record": calls.append})
    code = ATTACKS[name].format(marker=str(marker), secret=str(secret), port=server.getsockname()[1])
    with contextlib.suppress(CodeError):
        output = str(box(code).output)
        assert not any(text in output for text in HOST_TEXT)
    assert not connected(server)
    assert not marker.exists()
    assert calls == []
    assert box("1").output == 1
