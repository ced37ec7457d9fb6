"""What may be asked for: names of packages, exact versions, and nothing that a shell or pip would take for more."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.docker.build.recipe import Recipe, checked_tag


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (["numpy"], ("numpy",)),
        (["pandas", "numpy"], ("numpy", "pandas")),
        (["NumPy", "numpy"], ("numpy",)),
        (["ruamel_yaml", "Zope.Interface"], ("ruamel-yaml", "zope-interface")),
        (["numpy==2.3.1"], ("numpy==2.3.1",)),
        (["torch==2.9.0+cpu", "a==1!2.0.post1"], ("a==1!2.0.post1", "torch==2.9.0+cpu")),
        ([], ()),
    ],
)
def test_names_and_exact_versions_are_taken(asked: list[str], wanted: tuple[str, ...]) -> None:
    assert Recipe.of(asked).packages == wanted


@pytest.mark.parametrize(
    "package",
    [
        *("", " ", "-r", "--index-url", "-e.", "./numpy", "/etc/passwd", "numpy/", "..", "C:\\numpy"),
        *("https://host/x.whl", "git+https://host/x", "numpy @ file:///x", "x.whl/..", "file:x"),
        *("numpy>=2", "numpy<3", "numpy~=2.0", "numpy==2.*", "numpy===2", "numpy==", "numpy==x", "numpy==1,==2"),
        *("numpy[extra]", "numpy; python_version<'3'", "numpy pandas", "numpy\n", "numpy\x00", "numpy #"),
        *("$(id)", "`id`", "numpy&&id", "numpy|id", "numpy>x", "*", "~", "nümpy", "numpy-", "_numpy", "a" * 200),
    ],
)
def test_all_else_is_refused(package: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a package: give names on PyPI, such as numpy"):
        Recipe.of([package])


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z0-9._=!+-]{1,30}", fullmatch=True))
def test_what_is_taken_is_one_harmless_word(package: str) -> None:
    try:
        (word,) = Recipe.of([package]).packages
    except ValueError:
        return
    assert shlex.split(word) == [word]
    assert re.fullmatch(r"[A-Za-z0-9.=!+_-]+", word)
    assert word[0].isalnum()
    assert Recipe.of([word]).packages == (word,), "it is normal already"


def test_two_versions_of_one_package_are_refused() -> None:
    with pytest.raises(ValueError, match="numpy is asked for twice, as any and as ==2.3.1"):
        Recipe.of(["numpy", "NumPy==2.3.1"])


def test_fingerprints_tell_recipes_apart_and_nothing_else() -> None:
    assert Recipe.of(["b", "A"]).fingerprint() == Recipe.of(["a", "B"]).fingerprint()
    different = [Recipe(), Recipe.of(["a"]), Recipe.of(["a==1"]), Recipe.of(["a"], node=False), Recipe(node=False)]
    assert len({recipe.fingerprint() for recipe in different}) == len(different)


def test_names_without_versions() -> None:
    assert Recipe.of(["numpy==2.3.1", "pandas"]).names == ("numpy", "pandas")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("dionysus-sandbox", "dionysus-sandbox:latest"),
        ("lab:1", "lab:1"),
        ("registry.lab:5000/box", "registry.lab:5000/box:latest"),
        ("registry.lab:5000/my/box:V1.2", "registry.lab:5000/my/box:V1.2"),
    ],
)
def test_names_of_images(name: str, tag: str) -> None:
    assert checked_tag(name) == tag


@pytest.mark.parametrize(
    "name", ["", "Lab", "-x", "a b", "a:b:c d", "x@sha256:" + "0" * 64, "a//", "x:", ":x", "a" * 300, "a\n", "../x"]
)
def test_what_can_be_no_name_of_an_image_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="can't be the name of an image that is built here"):
        checked_tag(name)
