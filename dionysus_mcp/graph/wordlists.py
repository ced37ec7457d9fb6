"""Words that decide what a capital letter means in English: no dictionary, only the words that mislead most often."""

from dionysus_mcp.recall.terms import FUNCTION_WORDS

TIMES = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august
    september october november december mon tue tues wed thu thur thurs fri sat christmas easter halloween
    thanksgiving today tomorrow yesterday tonight mondays tuesdays wednesdays thursdays fridays saturdays sundays
    spring summer autumn winter noon midnight night
    """.split()
)
"""Names of times, which are no entities."""

STARTERS = FUNCTION_WORDS | frozenset(
    """
    sounds even perfect woohoo aw yikes phew absolutely actually afterwards ah alas almost already alright
    although always amazing another anybody anyone anything anyway aww awesome bye certainly congrats
    congratulations cool currently dear definitely despite don't everybody everyone everything exactly excellent
    fantastic finally first following friends gee good gosh great ha haha happy hello hey hi honestly hopefully
    however i'd i'll i'm i've indeed instead interesting it's last lately later let's like look looks love lovely
    maybe meanwhile moreover morning my neither never next nice nobody none nothing oh ok okay one others ours
    people perhaps please pretty probably really recently right second sadly seems several similarly simply since
    somebody someone something sometimes soon sorry still sure that's thank thanks then there's therefore they're
    thus together totally true two unfortunately unless unlike usually we're we've welcome well what's whatever
    wonderful wow yay yeah yep yes yet you're yup nope no absolutely additionally furthermore similarly overall
    according add make use see note fix remove keep let give take run test write read set
    """.split()
)
"""Words that begin sentences and then have a capital letter without being names."""

DETERMINERS = frozenset("the a an my our his her their your this that these those".split())

VAGUE = frozenset(
    """
    thing things time times day days week weeks month months year years way ways lot lots bit kind sort part
    people one ones something moment minute minutes hour hours place point end start side case example number fact
    reason idea today yesterday tomorrow tonight morning evening night afternoon weekend while
    """.split()
)
"""Nouns that say too little to be what a phrase is about."""

QUALITIES = frozenset(
    """
    whole entire great good better best bad worse worst new old young big small large little long short high low
    other another same different next last first second third few many several own real true nice lovely wonderful
    amazing awesome beautiful important special recent early late full current previous only main single certain
    such very really most more fun cool favorite favourite happy sad perfect huge tiny simple
    """.split()
)
"""Adjectives that are left out at the beginning of a phrase."""

ENDING = frozenset(
    """
    really mean means meant together around away behind towards look looks looked sound sounds start starts give
    gives going coming come comes came take takes took hold held bring brought stand stands shine shines keep
    keeps make making run runs ran become becoming seem seems feel feels felt happen happens work works worked
    help helps back off often always never still already actually super pretty certainly
    """.split()
)
"""Words that begin what is said of a phrase, as far as a list can tell; it ends before them."""

HONORIFICS = frozenset("mr mrs ms dr prof sir professor doctor".split())
FIRMS = frozenset("inc ltd llc gmbh corp corporation company university institute college hospital foundation".split())
INSIDE = frozenset("of de da di del van von der den la le el al bin ibn".split())
"""Small words within a name."""
ABBREVIATED = frozenset("mr mrs ms dr prof sr jr st vs etc e.g i.e inc ltd co corp no fig approx".split())
