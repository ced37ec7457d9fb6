"""Whether what a language model claims is said in its sources, word by word. Pure.

A claim may say "Ann likes" for Ann's "I like", and leave out words that only add force. Everything else must be there,
in the same order: a sentence with fewer words may state another fact ("my brother likes tea", "I thought I liked it").
"""

from collections.abc import Sequence

from dionysus_mcp.consolidation.wording import Sentence, sentences

LONGEST = 400
"""Characters of a claim."""
_SHORTEST = 3
_FORCE = frozenset("really very absolutely totally definitely truly honestly yeah wow".split())
_SPEAKER = {"i": "i", "me": "i", "myself": "i", "my": "i's", "mine": "i's"}
_AGREEING = {"am": "is", "are": "is", "has": "have", "does": "do", "goes": "go"}


def refusal(claim: str, sources: Sequence[str], speaker: str | None) -> str | None:
    """Why a claim isn't said in any one sentence of its sources; None where it is.

    Args:
        claim: One sentence.
        sources: The texts that it was made from.
        speaker: Who said them; "I" is that person.
    """
    if not claim.strip() or len(claim) > LONGEST or not claim.isprintable():
        return f"it is empty, longer than {LONGEST} characters or holds characters that can't be shown"
    parts = sentences(claim)
    if len(parts) != 1 or "?" in parts[0].words:
        return "it is not one statement"
    wanted = _told(parts[0], speaker)
    said = [_told(sentence, speaker) for text in sources for sentence in sentences(text)]
    if any(_same(wanted, one) for one in said):
        return None
    heard = {word for one in said for word in one}
    new = [word for word in wanted if not any(_is_form(word, other) for other in heard)]
    return f"no source says {', '.join(new)}" if new else "no single sentence of a source says all of it in this order"


def _told(sentence: Sentence, speaker: str | None) -> list[str]:
    """The words of a sentence, with the speaker as "i" by whichever name."""
    own = {part.lower() for part in (speaker or "").split()}
    found: list[str] = []
    for place, word in enumerate(sentence.words):
        plain = word.lower()
        if plain in _FORCE:
            continue
        name = plain.removesuffix("'s")
        if speaker and plain in _SPEAKER:
            word = _SPEAKER[plain]
        elif name in own and (place == 0 or word[:1].isupper()):
            word = "i's" if plain.endswith("'s") else "i"
        if word != "i" or found[-1:] != ["i"]:
            found.append(_AGREEING.get(word, word))
    return found


def _same(claim: list[str], said: list[str]) -> bool:
    pairs = zip(claim, said, strict=False)
    return len(claim) == len(said) and all(_is_form(word, other) for word, other in pairs)


def _is_form(word: str, said: str) -> bool:
    """Whether a word is the one that was said, or its third person: "likes" for "like"; names and numbers unchanged."""
    if word == said:
        return True
    if not (word.isalpha() and said.isalpha() and word.islower() and said.islower() and len(said) >= _SHORTEST):
        return False
    return word in {f"{said}s", f"{said}es", f"{said[:-1]}ies" if said.endswith("y") else said}
