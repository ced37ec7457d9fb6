"""Pairs of near vectors: all of them while they are few, nearly all of the nearest when they are many."""

import numpy as np
import pytest

from dionysus_mcp.consolidation.near import pairs


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module")
def clouds():
    """3,000 random vectors, of 300 of which there is another one with a cosine of about .97."""
    chance = np.random.default_rng(3)
    base = unit(chance.standard_normal((3000, 384)))
    near = unit(base[:300].astype(np.float32) + 0.013 * chance.standard_normal((300, 384)))
    return np.concatenate([base, near])


def never():
    pass


def expected(vectors, least):
    whole = vectors.astype(np.float32)
    cosines = np.triu(whole @ whole.T, 1)
    return {(int(one), int(other)) for one, other in zip(*np.nonzero(cosines >= least), strict=True)}


def test_few_vectors_are_all_compared(clouds):
    found = {(one, other): cosine for one, other, cosine in pairs(clouds, 0.9, never)}
    assert set(found) == expected(clouds, 0.9)
    assert all(0.9 <= cosine <= 1.001 for cosine in found.values())


def test_of_many_nearly_all_near_ones_are_found_and_no_others(clouds):
    wanted = expected(clouds, 0.95)
    assert len(wanted) > 250
    found = {(one, other) for one, other, _ in pairs(clouds, 0.95, never, exact=10)}
    assert found <= wanted
    assert len(found) > 0.95 * len(wanted)
    assert found == {(one, other) for one, other, _ in pairs(clouds, 0.95, never, exact=10)}, "the same every time"


@pytest.mark.parametrize("exact", [10, 5000])
def test_a_thousand_alike_make_no_million_pairs(exact):
    alike = unit(np.ones((1000, 384)))
    assert 1000 <= len(list(pairs(alike, 0.9, never, exact=exact))) <= 24 * 17 * 1000


@pytest.mark.parametrize("count", [0, 1, 2])
def test_next_to_nothing_is_no_trouble(count):
    for exact in (0, 10):
        assert len(list(pairs(unit(np.ones((count, 384))), 0.5, never, exact=exact))) == (count == 2)


def test_the_search_can_be_ended(clouds):
    class Ended(Exception):
        pass

    def end():
        raise Ended

    for exact in (10, 5000):
        with pytest.raises(Ended):
            list(pairs(clouds, 0.9, end, exact=exact))
