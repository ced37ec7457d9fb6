"""Attacks on the wire: code that writes to the worker's own descriptor what the worker would never send."""

from tests.sandbox.docker.attacks.attack import Attack

_ORDER = ("the order of frames",)
_INTERFERED = "interfered with the sandbox's own channel.*gone"

_MEANS = """\
import json
calls = next(cell.cell_contents for cell in echo.__closure__ if hasattr(cell.cell_contents, '_step'))
def frame(kind, said):
    octets = said if isinstance(said, bytes) else json.dumps(said).encode()
    return len(octets).to_bytes(4, 'big') + kind + octets
def send(kind, said):
    octets = memoryview(frame(kind, said))
    while octets: octets = octets[os.write(3, octets):]
def receive():
    size = int.from_bytes(os.read(3, 5)[:4], 'big')
    return json.loads(os.read(3, size))
right = {'step': calls._step, 'call': 7, 'name': 'echo', 'args': ['reached'], 'kwargs': {}}
done = {'id': calls._step, 'value': 'reached'}
"""
_SERVED = _MEANS + "send(b'c', right)\nreceive()['value']"
_ANSWERED = _MEANS + "send(b'd', done)\ntime.sleep(30)"


def _call(name: str, change: str) -> Attack:
    code = f"{_MEANS}right |= {change}\nsend(b'c', right)\nreceive()"
    return Attack(f"a call {name}", code, control=_SERVED, held=_INTERFERED, lost=True)


def _octets(name: str, expression: str) -> Attack:
    code = f"{_MEANS}send(b'c', {expression})\nreceive()"
    return Attack(f"a call {name}", code, control=_SERVED, held=_INTERFERED, lost=True)


def _answer(name: str, value: str) -> Attack:
    code = f"{_MEANS}done['value'] = {value}\nsend(b'd', done)\ntime.sleep(30)"
    return Attack(f"an answer {name}", code, control=_ANSWERED, held=_INTERFERED, lost=True, litters="worker")


def _kind(name: str, kind: str, said: str, works: str) -> Attack:
    code = f"{_MEANS}send({kind}, {said})\ntime.sleep(0.2)"
    return Attack(f"a forged frame: {name}", code, _ORDER, works=works, held=_INTERFERED, lost=True, litters="worker")


ATTACKS = [
    Attack(
        "a tool that was never sent",
        _MEANS + "send(b'c', right | {'name': 'len', 'args': ['abc']})\nreceive()",
        ("the list of tools",),
        works="'value': 3",
        held="NameError",
    ),
    Attack(
        "a tool with a dunder name",
        _MEANS + "send(b'c', right | {'name': '__import__', 'args': ['os']})\nreceive()",
        ("the list of tools",),
        works="module",
        held="NameError",
    ),
    Attack(
        "an attribute of a tool",
        _MEANS + "send(b'c', right | {'name': 'echo.__globals__'})\nreceive()",
        control=_SERVED,
        held="NameError",
    ),
    Attack(
        "two calls at once",
        _MEANS + "os.write(3, frame(b'c', right) * 2)\n[receive(), receive()][1]['value']",
        _ORDER,
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    Attack(
        "a call after the answer",
        (_MEANS + "os.write(3, frame(b'd', done) + frame(b'c', right))\ntime.sleep(30)", "1"),
        _ORDER,
        works="belongs to no step",
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    Attack(
        "an answer that says the same twice",
        (_MEANS + "os.write(3, frame(b'd', done) * 2)\ntime.sleep(30)", "1"),
        _ORDER,
        works="belongs to no step",
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    _kind("the worker ended", "b'l'", "{'reason': 'memory'}", "more memory than its sandbox has"),
    _kind("printed text", "b'o'", "b'reached'", "reached"),
    _kind("dropped text", "b'n'", "b'12345'", "12,345 more bytes"),
    _kind("a file", "b'F'", "{}", "a frame of kind"),
    _kind("ready", "b'r'", "{}", "a frame of kind"),
    _kind("a kind of the host's", "b'x'", "done", "a frame of kind"),
    _kind("a kind that is none", "bytes([255])", "b''", "a frame of kind"),
    _call("of another step", "{'step': 'f' * 16}"),
    _call("of no step", "{'step': None}"),
    _call("of a step that is a list", "{'step': [calls._step]}"),
    _call("without a number", "{'call': None}"),
    _call("whose number is a bool", "{'call': True}"),
    _call("whose number is text", "{'call': '7'}"),
    _call("whose name is a number", "{'name': 7}"),
    _call("whose name is a list", "{'name': ['echo']}"),
    _call("whose arguments are text", "{'args': 'reached'}"),
    _call("whose arguments are a dict", "{'args': {'0': 'reached'}}"),
    _call("whose keywords are a list", "{'kwargs': []}"),
    _call("with a kind of value that is none", "{'args': [{'$': 'object', 'v': 1}]}"),
    _call("with the name of a class", "{'args': [{'$': 'subprocess.Popen', 'v': ['id']}]}"),
    _call("with a kind that is a list", "{'args': [{'$': ['tuple'], 'v': []}]}"),
    _call("with a set of lists", "{'args': [{'$': 'set', 'v': [[]]}]}"),
    _call("with a dict whose key is a list", "{'args': [{'$': 'dict', 'v': [[[], 1]]}]}"),
    _call("with a dict without pairs", "{'args': [{'$': 'dict', 'v': [1]}]}"),
    _call("with bytes that are none", "{'args': [{'$': 'bytes', 'v': 'x'}]}"),
    _call("with a float that is none", "{'args': [{'$': 'float', 'v': '1e3'}]}"),
    _octets("that is empty", "b''"),
    _octets("that is no JSON", "b'{'"),
    _octets("that is a list", "b'[]'"),
    _octets("that is null", "b'null'"),
    _octets("that is no text", "b'\\xff\\xfe'"),
    _octets("that is nested without end", "b'[' * 200_000"),
    _octets("with an int without end", "json.dumps(right).encode().replace(b'\"reached\"', b'9' * 5000)"),
    _octets("with arguments nested deep", "json.dumps(right).encode().replace(b'\"reached\"', b'[' * 90 + b']' * 90)"),
    _answer("nested deep", "json.loads('[' * 90 + ']' * 90)"),
    _answer("with the name of a class", "{'$': 'os.system', 'v': 'id'}"),
    Attack(
        "an answer to another step",
        f"{_MEANS}send(b'd', done | {{'id': 'f' * 16}})\ntime.sleep(30)",
        control=_ANSWERED,
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    Attack(
        "an answer with an error that is none",
        f"{_MEANS}send(b'd', {{'id': calls._step, 'error': 5}})\ntime.sleep(30)",
        control=_ANSWERED,
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    Attack(
        "a frame larger than allowed",
        _MEANS + "done['value'] = 'reached' * 2_000_000\nsend(b'd', done)\ntime.sleep(30)",
        ("the size of frames",),
        held=_INTERFERED,
        lost=True,
        litters="worker",
    ),
    Attack(
        "a frame of four gigabytes",
        _MEANS + "os.write(3, bytes([255] * 4) + b'd')\ntime.sleep(0.2)\n'reached'",
        ("the size of frames",),
        works="TimeoutError",
        held=_INTERFERED,
        lost=True,
        litters="worker",
        limits={"step_timeout": 1.0},
    ),
    Attack(
        "a frame that never ends",
        _MEANS + "os.write(3, frame(b'd', done)[:-1])\nwhile True: pass",
        control=_ANSWERED,
        held="TimeoutError|gone",
        litters="worker",
        lost=True,
        limits={"step_timeout": 1.0},
    ),
    Attack(
        "an answer stolen from another thread",
        _MEANS
        + "import threading\nthreading.Thread(target=lambda: [os.read(3, 1) for _ in range(9)], daemon=True).start()\ntime.sleep(0.1)\nwait()",
        control=_SERVED,
        held="^$|Error|gone",
        lost=None,
        litters="worker",
        limits={"step_timeout": 1.0},
    ),
]
