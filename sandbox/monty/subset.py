"""Which Python monty is, as measured with pydantic-monty 1.4.0, and how a prompt says so.

Every name and every sample here is run by a test, so that what an agent is told stays true.
"""

from typing import Final

MODULES: Final = (
    "asyncio",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "os",
    "pathlib",
    "random",
    "re",
    "sys",
    "time",
    "tomllib",
    "typing",
    "unicodedata",
)

# Asked for often by models that write data-handling code, and not there.
ABSENT_MODULES: Final = (
    "abc",
    "contextlib",
    "enum",
    "fractions",
    "heapq",
    "io",
    "numpy",
    "operator",
    "pandas",
    "requests",
    "socket",
    "statistics",
    "string",
    "subprocess",
    "textwrap",
    "threading",
    "uuid",
)

MISSING: Final = {
    "class inheritance, also of Exception": "class Base:\n    pass\nclass Child(Base):\n    pass",
    "@property, @staticmethod and @classmethod": "class A:\n    @property\n    def x(self):\n        return 1",
    "yield": "def numbers():\n    yield 1",
    "del": "x = 1\ndel x",
    "from module import *": "from math import *",
    "except*": "try:\n    pass\nexcept* ValueError:\n    pass",
    "type aliases": "type Number = int",
    "collections.OrderedDict": "from collections import OrderedDict",
    "super()": "class A:\n    def __init__(self):\n        super().__init__()\nA()",
    "globals(), vars(), dir(), callable(), issubclass(), input(), bytearray()": "callable(print)",
    "lazy generators (a generator expression is a list)": "next(n for n in [1])",
    "a tool inside sorted(key=...) or map()": "list(map(final_answer, [1]))",
}

WORKS: Final = {
    "functions, closures, nonlocal, decorators": (
        "def twice(f):\n    return lambda x: f(f(x))\n@twice\ndef inc(x):\n    return x + 1\ninc(1)",
        3,
    ),
    "simple classes and @dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(3).x",
        3,
    ),
    "comprehensions": ("{k: v for k, v in zip('ab', [1, 2]) if v > 1}", {"b": 2}),
    "try/except/finally": ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    r = str(e)\nr", "division by zero"),
    "match": ("def kind(x):\n    match x:\n        case [a, *_]:\n            return a\nkind([7, 8])", 7),
    "with": ("with open('w.txt', 'w') as f:\n    f.write('hi')\nopen('w.txt').read()", "hi"),
    "f-strings": ("f'{3.14159:.2f} {\"a\"!r:>5}'", "3.14   'a'"),
    "star arguments and unpacking": (
        "def f(*a, **k):\n    return a, k\nfirst, *rest = [1, 2, 3]\nf(*rest, z=1)",
        ((2, 3), {"z": 1}),
    ),
    "async def and await": ("async def f():\n    return 1\nawait f()", 1),
    "big integers": ("2 ** 100 % 1000", 376),
    "json": ("import json\njson.loads(json.dumps({'a': [1, None]}))", {"a": [1, None]}),
    "re": ("import re\nre.findall(r'\\w+(?=@)', 'me@x you@y')", ["me", "you"]),
    "datetime": (
        "from datetime import datetime, timedelta\n"
        "(datetime.fromisoformat('2024-03-01') - timedelta(days=1)).strftime('%Y-%m-%d')",
        "2024-02-29",
    ),
    "collections": ("from collections import Counter, defaultdict, deque\nCounter('aab').most_common(1)", [("a", 2)]),
}

GUIDANCE: Final = f"""\
Your code runs in monty, a small Python interpreter without access to the operating system or the network.
- Modules you can import: {", ".join(MODULES)}. Nothing else can be imported: no {", no ".join(ABSENT_MODULES)}.
- These work: {"; ".join(WORKS)}.
- These don't exist here: {"; ".join(MISSING)}.
- Call tools directly or in a loop or comprehension: results = [tool(x) for x in xs].
- Files that were given to you are opened by their plain name: open("name").read(); files you write stay in memory.
- Variables, functions and imports are kept from one code block to the next.
"""
