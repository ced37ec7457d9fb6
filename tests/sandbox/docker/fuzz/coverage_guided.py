"""Looks for bytes of a box that the host can't take, guided by the lines they reach. `make fuzz` runs it; no test does.

    python -m tests.sandbox.docker.fuzz.coverage_guided -max_total_time=60 [folder with a corpus]

Ends at the first exception that is none of the sandbox's own, and leaves the bytes in a file `crash-…`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sandbox.docker", "sandbox.host_tools", "sandbox.printed", "sandbox.values"]):
    from sandbox.docker.guest.wire import frame
    from tests.sandbox.docker.fuzz.target import ID, chunked, take

_KEYS = "id step call name args kwargs value error text line reason data total names type is $ v"
_WORDS = (
    *(f'"{word}":' for word in _KEYS.split()),
    *(
        f'"{word}"'
        for word in (
            ID,
            "echo",
            "final_answer",
            "set",
            "dict",
            "array",
            "table",
            "image",
            "bytes",
            "float",
            "tuple",
            "nan",
            "memory",
        )
    ),
    "[[",
    "{}",
    "NaN",
    "1e999",
    "null",
)
_SEEDS = (
    f'd{{"id":"{ID}","value":{{"$":"set","v":[1,"a"]}}}}',
    f'd{{"id":"{ID}","error":{{"text":"x","line":1}}}}',
    f'c{{"step":"{ID}","call":1,"name":"echo","args":[1],"kwargs":{{}}}}',
    f'F{{"id":"{ID}","data":"eA==","total":1}}',
    f'F{{"id":"{ID}","names":["a"]}}',
    'l{"reason":"memory"}',
)


def one(octets: bytes) -> None:
    """Lines are frames: a kind, and what it says. What begins with a zero is the engine's own stream."""
    if octets[:1] == b"\0":
        take(octets[1:])
        return
    frames = [line for line in octets.split(b"\n") if line]
    take(chunked(b"".join(frame(line[0], line[1:]) for line in frames)))


def main() -> None:
    """Hand over to the fuzzer, with words and seeds that make JSON likely."""
    with tempfile.TemporaryDirectory(prefix="dionysus-fuzz-") as folder:
        words, corpus = Path(folder, "words"), Path(folder, "corpus")
        words.write_text("".join('"{}"\n'.format(word.replace("\\", "\\\\").replace('"', '\\"')) for word in _WORDS))
        corpus.mkdir()
        for number, seed in enumerate(_SEEDS):
            (corpus / str(number)).write_text(seed)
        (corpus / "all").write_text("\n".join(_SEEDS))
        atheris.Setup([*sys.argv, f"-dict={words}", "-max_len=4096", "-rss_limit_mb=1024", str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
