"""Attacks by values and errors that fight back while they are packed for the host."""

from tests.sandbox.docker.attacks.attack import Attack

_BY_TYPE = ("packing by type",)
_SHORT = {"step_timeout": 0.3}
_BROKEN = "gone|Error|reached"


def _packed(name: str, code: str, held: str, works: str = _BROKEN) -> Attack:
    time = {"step_timeout": 2.0} if "TimeoutError" in works else {}
    return Attack(name, code, _BY_TYPE, works=works, held=held, litters="worker", limits=time)


def _error(name: str, code: str, held: str, control: str, lost: bool | None = False) -> Attack:
    return Attack(name, code, control=control, works="ValueError: reached", held=held, lost=lost)


_PLAIN_ERROR = "raise ValueError('reached')"
_SLOW = "until = time.monotonic() + 1.2\nwhile time.monotonic() < until: pass\n"

ATTACKS = [
    _packed("a value that says it is text", "class V: __class__ = str\nV()", r"^\{\}$"),
    _packed(
        "a value that says it is a list",
        "class V:\n    __class__ = list\n    def __iter__(self): raise RuntimeError\nV()",
        r"^\{\}$",
    ),
    _packed(
        "a dict whose items raise", "class V(dict):\n    def items(self): raise RuntimeError\nV(a=1)", r"^\{'a': 1\}$"
    ),
    _packed(
        "a dict whose items never end",
        "import itertools\nclass V(dict):\n    def items(self): return ((n, n) for n in itertools.count())\nV(a=1)",
        r"^\{'a': 1\}$",
        "gone|MemoryError|TimeoutError",
    ),
    _packed(
        "a list that never ends",
        "class V(list):\n    def __iter__(self):\n        while True: yield 1\nV([1])",
        r"^\[1\]$",
        "gone|MemoryError|TimeoutError",
    ),
    _packed(
        "a set that yields itself",
        "class V(set):\n    def __iter__(self): yield self\nV([1])",
        r"^\{1\}$",
        "RecursionError|gone",
    ),
    _packed("a value in itself", "v = []\nv.append(v)\nv", r"\[\[\.\.\.\]\]", "RecursionError|gone"),
    _packed("a value in itself by a dict", "v = {}\nv['v'] = v\nv", r"\{'v': \{\.\.\.\}\}", "RecursionError|gone"),
    _packed(
        "a value nested without end",
        "v = []\nfor _ in range(100_000): v = [v]\nv",
        "nested more than 64|<list: ",
        "RecursionError|gone",
    ),
    _packed("an int without end", "10 ** 5000", "int of 16,610 bits", "gone|ValueError"),
    _packed("an int without end in a list", "[-10 ** 5000]", "int of 16,610 bits", "gone|ValueError"),
    _packed(
        "a value many times in itself",
        "v = ['x' * 100]\nfor _ in range(16): v = [v, v]\nv",
        r"too large, more than 5,000,000 bytes\)$",
        r"\]$",
    ),
    _packed(
        "a key that can't be text",
        "class K:\n    __slots__ = ()\n    def __str__(self): raise RuntimeError\n{K(): 1}",
        "a value of type K can't cross|K object",
        "RuntimeError|gone",
    ),
    _packed(
        "a text of 100 MB for a value",
        "class V:\n    __slots__ = ()\n    def __repr__(self): return 'x' * 100_000_000\nV()",
        "99,990,000 more characters of a V",
        "gone|100,000,036 bytes on its way",
    ),
    _packed("text with lone surrogates", "'\\ud800'", "^\ufffd+$", r"^\?$"),
    Attack(
        "a value whose text takes for ever",
        "class V:\n    __slots__ = ()\n    def __repr__(self):\n        "
        + _SLOW.replace("\n", "\n        ")
        + "return 'reached'\nV()",
        ("the limit of time",),
        held="TimeoutError",
        limits=_SHORT,
    ),
    Attack(
        "an error whose text takes for ever",
        "class V(Exception):\n    def __str__(self):\n        "
        + _SLOW.replace("\n", "\n        ")
        + "return 'reached'\nraise V",
        ("the limit of time",),
        held="TimeoutError",
        limits=_SHORT,
    ),
    _error(
        "an error whose text raises",
        "class V(Exception):\n    def __str__(self): raise RuntimeError\nraise V",
        "V: .the error's message can't be printed",
        _PLAIN_ERROR,
    ),
    _error(
        "an error whose text exits",
        "class V(Exception):\n    def __str__(self): raise SystemExit\nraise V",
        "V: .the error's message can't be printed",
        _PLAIN_ERROR,
    ),
    _error("an error with a text of 100 MB", "raise ValueError('x' * 100_000_000)", r"99,994,000 more", _PLAIN_ERROR),
    _error("an error with a name of 100 MB", "raise type('V' * 100_000_000, (Exception,), {})", "^V+", _PLAIN_ERROR),
    _error(
        "an error in a function with a name of 100 MB",
        "def f(): raise ValueError('here')\nf.__code__ = f.__code__.replace(co_name='f' * 100_000_000)\nf()",
        "ValueError: here",
        _PLAIN_ERROR,
    ),
    _error(
        "an error in a file with a name of 100 MB",
        "exec(compile('1 / 0', 'f' * 100_000_000, 'exec'))",
        "ZeroDivisionError",
        _PLAIN_ERROR,
    ),
    _error(
        "an error of syntax with parts that are none",
        "error = SyntaxError('x')\nerror.filename = sys._getframe().f_code.co_filename\nerror.text = 5\nraise error",
        "SyntaxError",
        _PLAIN_ERROR,
    ),
    _error(
        "an error of syntax at a line that is none",
        "error = SyntaxError('x')\nerror.filename = sys._getframe().f_code.co_filename\nerror.lineno = 10 ** 5000\nraise error",
        "SyntaxError",
        _PLAIN_ERROR,
    ),
    _error(
        "an error of syntax whose file is equal to all",
        "class F:\n    def __eq__(self, other): raise KeyboardInterrupt\nerror = SyntaxError('x')\nerror.filename = F()\nraise error",
        "SyntaxError",
        _PLAIN_ERROR,
    ),
    _error("an exit", "raise SystemExit('out')", "SystemExit: out", _PLAIN_ERROR),
    _error(
        "an error of a class of classes that fights",
        "class M(type):\n    @property\n    def __name__(cls): raise RuntimeError('no name')\nclass V(Exception, metaclass=M): pass\nraise V",
        "^V$",
        _PLAIN_ERROR,
    ),
    _error(
        "a chain of errors without end",
        "def chain(n):\n    try: raise ValueError(n)\n    except ValueError as error:\n        if n: chain(n - 1)\n        raise\nchain(300)",
        "ValueError: ",
        _PLAIN_ERROR,
    ),
    Attack(
        "an argument that says it is text",
        "class V: __class__ = str\necho(V())",
        _BY_TYPE,
        works="gone|Error",
        held=r"^\{\}$",
        litters="worker",
    ),
    Attack(
        "an argument in itself",
        "v = []\nv.append(v)\necho(v)",
        _BY_TYPE,
        works="RecursionError|gone",
        held="cyclic or nested",
        litters="worker",
    ),
    Attack(
        "an argument that can't cross",
        "echo(open('/dev/null'))",
        control="echo('reached')",
        held="TypeError.*TextIOWrapper can't cross",
    ),
    Attack("a tool given to itself", "echo(echo)", control="echo('reached')", held="TypeError.*function can't cross"),
]
