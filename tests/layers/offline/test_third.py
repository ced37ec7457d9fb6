"""The proofs on the third corpus: written blind and kept out of the making of the policy. The honest figure."""

from tests.layers.offline.proofs import Proofs

CORPUS = "third"


class TestThird(Proofs):
    corpus, other = CORPUS, "first"
    least_score = 0.6
    least_abstained = 0.66
    most_wrongly_abstained = 0.35
