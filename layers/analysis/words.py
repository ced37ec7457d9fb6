"""Words of English text: tokens, light stems, and which stems mean about the same.

Pure functions; no model, no network, nothing that belongs to one corpus. Stems are for comparing, not for showing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache

from layers.analysis.lexicon import likeness

_TOKEN = re.compile(r"[A-Za-z0-9À-ɏ]+(?:[._'’/-][A-Za-z0-9À-ɏ]+)*")

STOPWORDS = frozenset(
    """
    a about above after again all also although am an and any anyone are aren't around as at be because been before
    being below between both but by can cannot can't could couldn't did didn't do does doesn't doing don't down
    during each either else ever every few for from further get gets got had hadn't has hasn't have haven't having
    he her here hers herself him himself his how however i if in into is isn't it its it's itself just let's may me
    might more most many much must my myself neither no nor not of off on once one ones only onto or other our ours
    ourselves out over own per please shall she should shouldn't since so some still such than that that's the their
    theirs them themselves then there there's these they they're this those though through to too toward towards
    under until up upon us very via was among amongst across along beside besides beyond behind inside outside
    despite except regarding concerning apart throughout towards versus already always often usually really quite
    rather instead perhaps maybe anything something everything nothing someone somebody everyone everybody nobody
    first wasn't we we're were weren't what what's whatever when where whether which while who who's whom whose why
    will with within without won't would wouldn't yes yet you your yours yourself s t re ve ll d m
    """.split()
)

# Verbs that carry little: a question's "made", "got" or "put" seldom stands in the sentence that answers it.
LIGHT = frozenset("go mak get tak put giv com us keep let set work look want need do hav bring".split())

_IRREGULAR: dict[str, str] = {
    pair.partition(":")[0]: pair.partition(":")[2]
    for pair in """
    ate:eat eaten:eat began:begin begun:begin bought:buy broke:break broken:break brought:bring built:build
    came:come caught:catch chose:choose chosen:choose cost:cost cut:cut dealt:deal drank:drink drew:draw drawn:draw
    drove:drive driven:drive fell:fall fallen:fall felt:feel fed:feed fled:flee flew:fly flown:fly forgot:forget
    forgotten:forget fought:fight found:find froze:freeze frozen:freeze gave:give given:give gone:go grew:grow
    grown:grow heard:hear held:hold hid:hide hidden:hide kept:keep knew:know known:know laid:lay leapt:leap
    learnt:learn led:lead left:leave lent:lend lit:light lost:lose made:make meant:mean met:meet paid:pay ran:run
    rang:ring read:read rode:ride rose:rise risen:rise said:say sang:sing sank:sink sat:sit saw:see seen:see
    sent:send set:set shook:shake shot:shoot shown:show shut:shut slept:sleep sold:sell spent:spend spoke:speak
    spoken:speak spread:spread stole:steal stolen:steal stood:stand stuck:stick struck:strike swam:swim swore:swear
    taught:teach thought:think threw:throw thrown:throw told:tell took:take taken:take understood:understand went:go
    won:win wore:wear worn:wear woke:wake written:write wrote:write people:person children:child men:man women:woman
    feet:foot teeth:tooth mice:mouse bigger:big biggest:big better:good best:good worse:bad worst:bad later:late
    latest:late lower:low higher:high highest:high data:data
    """.split()
}

# Groups of common English words that stand for one another between a question and a note. Everyday relations only.
_GROUPS = """
own belong possess property
lead leader head chief charge manage manager run own owner responsible responsibility direct director oversee supervise
decide decision choose choice pick select settle agree opt conclude resolve adopt
cause reason motive trigger due root because explain
cost price budget spend expense pay fee charge expensive worth
start begin launch kick open initiate commence founded
end finish stop close complete conclude terminate
fix repair solve remedy resolve patch correct mend
break fail failure outage crash error fault incident defect bug broken down
use employ rely utilise utilize adopt
make create build produce construct develop write author
change modify alter adjust update revise switch replace migrate move convert
replace substitute supersede succeed swap
delay postpone defer late slip
job role position work occupation profession title
live reside home house located location based stay dwell
buy purchase acquire order procure
sell sale vendor supplier supply provide deliver
keep retain store hold save preserve retention
remove delete drop erase discard eliminate
need require requirement must demand necessary
allow permit approve approval authorise authorize grant accept sign
forbid ban prohibit disallow reject refuse deny
increase raise grow rise gain
decrease reduce lower cut drop shrink fall
size large big length long width height
test check verify validate examine inspect audit review
say tell state mention report announce explain
suggest propose recommend advise
meet meeting gathering session call
show display present demonstrate
person people member staff colleague employee
join hire recruit employ
leave quit resign depart
find discover detect notice spot identify
learn study train course
like love enjoy favourite favorite prefer
fear worry concern risk danger
help assist support aid
name call title known
number count amount quantity total many
fast quick rapid speed
child kid son daughter
doctor physician
car vehicle automobile
illness sick disease ill
picture photo image photograph
problem issue trouble difficulty
goal aim purpose objective target
result outcome finding effect
limit maximum cap most threshold bound ceiling
minimum least floor
time hour duration
temperature hot cold warm heat degree
fund finance sponsor subsidise support pay
throw discard dump waste trash away
try attempt test experiment trial
enable activate flag option switch setting
disable deactivate switch
wish want hope desire like request ask
holiday vacation trip travel tour
plan intend schedule intention
build builder construct erect
own owner belong possess
teach teacher instruct train lesson course
marry wife husband spouse wedding
study research investigate investigation
measure measurement reading gauge
begin origin originally start
forecast prediction predict
guard protect secure security safe safety
hole vulnerability weakness flaw
damage harm loss injury hurt
win victory award prize
shop store buy purchase
road street way path route
noise sound loud
speed fast quick velocity
gather collect harvest pick
clean wash rinse
paint colour color dye
old age aged
rent lease
cure heal treat treatment therapy
crisp crunchy crackling
photo camera lens picture
eat food meal dish
bake cook oven
travel trip journey visit
birthday born birth
""".strip()


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return a light stem: lower case, without possessive, plural and the common verb endings."""
    lowered = word.lower().replace("’", "'")
    lowered = lowered[:-2] if lowered.endswith("'s") else lowered.rstrip("'")
    if lowered in _IRREGULAR:
        return _IRREGULAR[lowered]
    if len(lowered) <= 3 or not lowered.isalpha():
        return lowered
    return _without_final_e(_without_verb_ending(_without_plural(lowered)))


def tokens(text: str) -> list[str]:
    """Return the words of a text as written; names with inner dots, dashes or slashes stay whole."""
    return _TOKEN.findall(text)


@lru_cache(maxsize=16_384)
def terms(text: str) -> tuple[str, ...]:
    """Return the stems of the content words of a text in order, each once; compounds also give their pieces."""
    found: dict[str, None] = {}
    for token in tokens(text):
        if token.lower().replace("’", "'") in STOPWORDS or (len(token) == 1 and not token.isdigit()):
            continue
        found.setdefault(stem(token))
        for piece in re.split(r"[._'’/-]", token):
            if piece != token and len(piece) > 2 and piece.lower() not in STOPWORDS:
                found.setdefault(stem(piece))
    return tuple(found)


@lru_cache(maxsize=262_144)
def kinship(term: str, other: str) -> float:
    """Return how nearly two stems mean the same, in [0, 1]: same 1, kindred less.

    The same group or ending gives .8, a long common beginning .7.
    """
    if term == other:
        return 1.0
    if min(len(term), len(other)) >= 4 and (term.endswith(other) or other.endswith(term)):
        return 0.8  # shipyard, yard
    if _groups().get(term, frozenset()) & _groups().get(other, frozenset()):
        return 0.8
    if term not in LIGHT and (alike := likeness(term, other)):
        return alike
    shared = _common_prefix(term, other)
    if shared >= 5 and shared >= 0.6 * max(len(term), len(other)) and term.isalpha() and other.isalpha():
        return 0.7
    return 0.0


@lru_cache(maxsize=65_536)
def cover(term: str, text_terms: frozenset[str]) -> float:
    """Return how well a text with these stems covers a term, in [0, 1]."""
    if term in text_terms:
        return 1.0
    return max((kinship(term, other) for other in text_terms), default=0.0)


def spelled(stems: Iterable[str], text: str) -> list[str]:
    """Return stems as words the way a text spells them, for people to read; a stem that isn't in it stays out."""
    words = {stem(token): token for token in reversed(tokens(text))}
    return list(dict.fromkeys(words[each] for each in stems if each in words))


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _without_verb_ending(word: str) -> str:
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        root = word[: -len(ending)]
        if word.endswith(ending) and len(root) >= 3 and re.search(r"[aeiouy]", root):
            return root[:-1] if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz" else root
    return word


def _without_final_e(word: str) -> str:
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _common_prefix(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


@cache
def _groups() -> dict[str, frozenset[int]]:
    groups: dict[str, frozenset[int]] = {}
    for number, line in enumerate(_GROUPS.splitlines()):
        for word in line.split():
            groups[stem(word)] = groups.get(stem(word), frozenset()) | {number}
    return groups
