"""When two wordings are the same, and when a word, a number or a sign makes them two."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.consolidation.facts import covers, differing, stands_alone
from dionysus_mcp.consolidation.wording import sentences

SAME = [
    ("User prefers dark mode.", "The user prefers dark mode"),
    ("I can't swim", "I cannot swim."),
    ("I can’t swim", "I can not swim!"),
    ("I won't come", "I will not come"),
    ("I’m Ann", "I am Ann"),
    ("We're at home", "we are at home"),
    ("They've sold it", "They have sold it"),
    ("fifteen people came", "15 people came."),
    ("Dinner is at seven", "Please note that dinner is at 7."),
    ("Remember: the code is 4711", "The code is 4711."),
    ("By the way, Ann left", "Ann left"),
    ("I like it, too", "I like it too"),
    ("It’s  “fine”", 'It\'s "fine".'),
    ("- buy milk", "Buy milk"),
    ("caf\u00e9 at noon", "cafe\u0301 at noon"),
    ("Tea at four.\nCake at five.", "Tea at four. Cake at five"),
]

# Every pair is near enough for a careless eye, or for a vector; each would lose a fact.
DIFFERENT = [
    ("I can swim", "I can't swim"),
    ("I like tea", "I don't like tea"),
    ("I like tea", "I hardly like tea"),
    ("She will come", "She would come"),
    ("Ann owes Bob 15 euros", "Ann owes Bob 50 euros"),
    ("Ann owes Bob 15 euros", "Bob owes Ann 15 euros"),
    ("Ann owes Bob 15 euros", "Anne owes Bob 15 euros"),
    ("Ann owes Bob 15 euros", "Ann owes Bob 15 dollars"),
    ("Ann owes Bob €15", "Ann owes Bob $15"),
    ("It weighs 5 kg", "It weighs 5 g"),
    ("It weighs 5 kg", "It weighs 5.0 kg"),
    ("It is 5 degrees outside", "It is -5 degrees outside"),
    ("Turn left at the church", "Turn right at the church"),
    ("The door is open", "The door is opened"),
    ("I live in Rome", "I lived in Rome"),
    ("I live in Rome", "I live in Rome?"),
    ("I live in Rome", "I think I live in Rome"),
    ("My key is under the mat", "My spare key is under the mat"),
    ("I know Ann, Lee", "I know Ann Lee"),
    ("my parents, Ann and Bob", "my parents, Ann, and Bob"),
    ("I have few friends", "I have a few friends"),
    ("I like the tea", "I like tea"),
    ("Ann is a manager", "Ann is the manager"),
    ("Polish the silver", "polish the silver"),
    ("We talked about IT", "We talked about it"),
    ("The dog bit the man", "The man bit the dog"),
    ("The meeting is on Monday", "The meeting is on Tuesday"),
    ("The meeting is at 15:30", "The meeting is at 15:03"),
    ("Version 1.10 works", "Version 1.1 works"),
    ("10² grains", "102 grains"),
    ("5! ways", "5 ways"),
    ('Ann said "I lost"', "Ann said I lost"),
    ("He's left", "He is left"),
    ("its tail hurts", "it's tail hurts"),
    ("I paste it", "I past it"),
    ("What a news", "What a new"),
    ("no sugar", "know sugar"),
    ("👍 for the plan", "👎 for the plan"),
    ("Mix first. Bake then.", "Bake then. Mix first."),
    ("1. Mix\n2. Bake", "1. Mix\n3. Bake"),
    ("I have two", "I have to"),
    ("I have one dog", "I have 11 dog"),
]

TAKEN_BACK = [
    "I live in Rome. Not any more.",
    "I live in Rome. Just kidding!",
    "I live in Rome. That was wrong.",
    "I live in Rome. Said my brother.",
    "I live in Rome. Do I?",
    "I live in Rome. I moved to Paris.",
    "My brother wrote a diary. I live in Rome.",
    "I live in Rome. Only in winter.",
    "I live in Rome. If all goes well.",
]


def says_all(survivor, other):
    return covers(sentences(survivor), sentences(other))


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_is_only_spelt_otherwise_is_the_same(one, other):
    assert says_all(one, other) or says_all(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_a_word_a_number_or_a_sign_makes_two_of_them(one, other):
    assert not (says_all(one, other) and says_all(other, one))
    assert not says_all(other, one)
    assert sentences(one) != sentences(other)
    assert differing(one, other)


@pytest.mark.parametrize("longer", TAKEN_BACK)
def test_what_is_taken_back_or_framed_does_not_say_it(longer):
    assert not says_all(longer, "I live in Rome.")


def test_a_text_says_what_it_begins_with():
    assert says_all("I live in Rome. My house is blue.", "I live in Rome")
    assert not says_all("I live in Rome", "I live in Rome. My house is blue.")


def test_a_far_longer_text_does_not_take_its_place():
    """A fact in it would be found less well."""
    assert not says_all("I live in Rome. " + "The house has many rooms and a garden. " * 3, "I live in Rome")


def test_what_has_a_capital_is_what_stays():
    """At the beginning of a sentence a name can't be told from a word; without a capital it is no name."""
    assert says_all("Polish people came", "polish people came")
    assert not says_all("polish people came", "Polish people came")


@pytest.mark.parametrize(
    ("text", "dated", "alone"),
    [
        ("I love painting at the lake.", False, True),
        ("Yes, I did that.", False, False),
        ("He lives in Rome.", False, False),
        ("Thanks a lot!", False, False),
        ("Max and Daisy. They love walks.", True, False),
        ("Max and Daisy. I walk the dogs at noon.", True, False),
        ("At the lake near Rome.", True, False),
        ("Painting and hiking.", True, False),
        ("Ann lives in Rome.", False, True),
        ("Ann owes Bob 15 euros.", False, True),
        ("Ann went to Rome in 2019.", False, True),
        ("Dinner is at seven.", False, True),
        ("Users can add a photo.", False, True),
        ("Thanks!", False, False),
        ("I ran five miles today.", False, False),
        ("I ran five miles today.", True, True),
        ("Do you like tea?", True, False),
        ("", False, False),
    ],
)
def test_what_points_elsewhere_does_not_stand_alone(text, dated, alone):
    assert stands_alone(sentences(text), dated=dated) is alone


TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=80)


@given(TEXTS)
def test_a_text_says_what_it_says(text):
    form = sentences(text)
    assert covers(form, form) or not form
    assert sentences(unicodedata.normalize("NFD", text)) == sentences(unicodedata.normalize("NFC", text))


@given(TEXTS)
def test_no_letter_or_digit_is_left_out(text):
    """But for the opening phrases, the article before "user", and what contractions and numbers are spelt as."""
    if any(word in text.lower() for word in ("please", "note", "remember", "well", "ok", "hey", "oh", "fyi", "user")):
        return
    if "'" in text or "’" in text or "by the way" in text.lower() or "reminder" in text.lower():
        return
    counted = sum(sum(map(str.isalnum, word)) for sentence in sentences(text) for word in sentence.words)
    spelt = sum(map(str.isalnum, unicodedata.normalize("NFC", text)))
    numbers = sum(word.isdigit() for sentence in sentences(text) for word in sentence.words)
    assert counted == spelt or numbers


@given(TEXTS, st.sampled_from(["not", "never", "no"]))
def test_a_negation_more_is_never_the_same(text, negation):
    assert not says_all(f"{text} {negation} tea", f"{text} tea")
    assert not says_all(f"{text} tea", f"{text} {negation} tea")
